/* The layout of the registry's files, for registry_file.c and registry_load.c. Drawn in
 * docs/formats/registry.md. */
#ifndef TSINK_INDEX_REGISTRY_FILE_PRIV_H
#define TSINK_INDEX_REGISTRY_FILE_PRIV_H

#include "codec/frame.h"

#define REGISTRY_MAGIC FRAME_MAGIC('T', 'S', 'R', 'G')

/* Frame types, in the order in which they come. On disk: never renumber. */
enum {
    REG_FRAME_HEAD = 1,   /* once, first */
    REG_FRAME_NAMES = 2,
    REG_FRAME_VALUES = 3,
    REG_FRAME_PAIRS = 4,
    REG_FRAME_DEAD = 5,   /* deltas only */
    REG_FRAME_SERIES = 6,
    REG_FRAME_ATTRS = 7,  /* deltas only */
    REG_FRAME_END = 8,    /* once, last */
};

enum { REG_KIND_SNAPSHOT = 1, REG_KIND_DELTA = 2 };

/* Payload of the head: uncompressed. */
enum {
    HEAD_OFF_DATABASE = 0,
    HEAD_OFF_NEXT_ID = 16,
    HEAD_OFF_COVERS = 24,
    HEAD_OFF_NUMBER = 32,
    HEAD_OFF_KIND = 40,
    HEAD_LEN = 48,        /* the last 4 bytes are 0 */
};

/* Payload of the end: how many records of each type from NAMES to ATTRS there were. */
enum { END_TYPES = REG_FRAME_ATTRS - REG_FRAME_NAMES + 1, END_LEN = END_TYPES * 8 };

/* Payload of the others: records, their bytes before compression, then one zstd frame. */
enum {
    BLOCK_OFF_N = 0,
    BLOCK_OFF_RAW_LEN = 4,
    BLOCK_HEAD_LEN = 8,
};

/* A block is closed when its records pass this; it may end a record later. */
enum { BLOCK_RAW_AIM = 256 << 10 };
/* The most a decoder accepts: a block and the longest record. */
enum { BLOCK_RAW_MAX = 64 << 20 };

enum {
    RECORD_KEYED = 1,
    RECORD_ATTRS = 2,
    RECORD_VERSION = 4, /* the label-set version is not 1 */
    RECORD_STARTS = 8,  /* a companion: in place of RECORD_KEYED */
    RECORD_FLAGS = 15,
};

#endif
