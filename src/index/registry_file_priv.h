/* The layout of series_index.bin, for registry_file.c and registry_load.c. Drawn in
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
    REG_FRAME_SERIES = 5,
    REG_FRAME_END = 6,    /* once, last */
};

/* Payload of the head: uncompressed. */
enum {
    HEAD_OFF_DATABASE = 0,
    HEAD_OFF_NEXT_ID = 16,
    HEAD_OFF_COVERS = 24,
    HEAD_LEN = 32,
};

/* Payload of the end: how many of each there were. */
enum {
    END_OFF_NAMES = 0,
    END_OFF_VALUES = 8,
    END_OFF_PAIRS = 16,
    END_OFF_SERIES = 24,
    END_LEN = 32,
};

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
    RECORD_FLAGS = 7,
};

#endif
