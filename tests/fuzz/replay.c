/* Feeds a harness without a fuzzer: every file named on the command line (folders are
 * read one level deep), as it is, cut at some places, and changed at random from a
 * printed seed. With no argument: the corpus of the harness, tests/fuzz/corpus/<x> for
 * replay_<x>, below TSINK_TOP. Then random bytes. One TAP case, which fails by crashing.
 * TSINK_SEED sets the seed, FUZZ_ROUNDS the changes for each file; there are ten times as
 * many random inputs. TSINK_LONG=1 makes it a hundred times more. */
#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/rng.h"
#include "tests/fuzz/fuzz.h"

enum { INPUT_MAX = 1 << 20, ROUNDS = 300, RANDOM_ROUNDS = 3000, RANDOM_LEN = 400 };

struct replay {
    struct rng rng;
    unsigned long rounds; /* changes for each file */
    unsigned long random_rounds;
    unsigned long n_inputs;
};

/* FUZZ_SAVE names a file for the input under way, which is there after a crash. */
static void save(const uint8_t *src, size_t len)
{
    const char *path = getenv("FUZZ_SAVE");
    FILE *file = path ? fopen(path, "wb") : NULL;

    if (!file) return;
    (void)!fwrite(src, 1, len, file);
    (void)fclose(file);
}

/* From an allocation of exact size, so that the sanitizer sees one byte too many. */
static void feed(struct replay *replay, const uint8_t *src, size_t len)
{
    uint8_t *exact = malloc(len ? len : 1);
    if (!exact) abort();
    memcpy(exact, src, len);
    save(src, len);
    (void)LLVMFuzzerTestOneInput(exact, len);
    free(exact);
    replay->n_inputs++;
}

static void feed_changed(struct replay *replay, const uint8_t *src, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    if (!copy) abort();
    for (unsigned long i = 0; len > 0 && i < replay->rounds; i++) {
        memcpy(copy, src, len);
        uint64_t n_changes = 1 + rng_below(&replay->rng, 4);
        for (uint64_t c = 0; c < n_changes; c++) {
            uint64_t at = rng_below(&replay->rng, len);
            if (rng_below(&replay->rng, 2)) {
                copy[at] = (uint8_t)rng_next(&replay->rng);
            } else {
                copy[at] ^= (uint8_t)(1u << rng_below(&replay->rng, 8));
            }
        }
        size_t cut = rng_below(&replay->rng, 4) ? len : rng_below(&replay->rng, len);
        feed(replay, copy, cut);
    }
    free(copy);
}

static void replay_file(struct replay *replay, const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(INPUT_MAX);

    if (!file || !bytes) {
        fprintf(stderr, "replay: cannot read %s\n", path);
        exit(2);
    }
    size_t len = fread(bytes, 1, INPUT_MAX, file);
    fclose(file);
    feed(replay, bytes, len);
    feed_changed(replay, bytes, len);
    free(bytes);
}

static void replay_path(struct replay *replay, const char *path)
{
    struct stat info;
    char child[4096];

    if (stat(path, &info) != 0) {
        fprintf(stderr, "replay: no such path: %s\n", path);
        exit(2);
    }
    if (!S_ISDIR(info.st_mode)) {
        replay_file(replay, path);
        return;
    }
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.') continue;
        snprintf(child, sizeof(child), "%s/%s", path, entry->d_name);
        replay_file(replay, child);
    }
    if (dir) closedir(dir);
}

static void replay_random(struct replay *replay)
{
    uint8_t bytes[RANDOM_LEN];

    for (unsigned long i = 0; i < replay->random_rounds; i++) {
        size_t len = rng_below(&replay->rng, RANDOM_LEN);
        for (size_t at = 0; at < len; at++) bytes[at] = (uint8_t)rng_next(&replay->rng);
        feed(replay, bytes, len);
    }
}

/* The folder that goes with the program's name; false when there is none. */
static bool find_corpus(char *path, size_t cap, const char *program)
{
    const char *top = getenv("TSINK_TOP"), *name = strrchr(program, '_');
    struct stat info;

    if (!top || !name) return false;
    snprintf(path, cap, "%s/tests/fuzz/corpus/%s", top, name + 1);
    return stat(path, &info) == 0;
}

int main(int argc, char **argv)
{
    char corpus[4096];
    const char *seed_text = getenv("TSINK_SEED"), *rounds_text = getenv("FUZZ_ROUNDS");
    uint64_t seed = seed_text ? strtoull(seed_text, NULL, 0) : 20260101;
    struct replay replay = {.rounds = rounds_text ? strtoul(rounds_text, NULL, 10) : ROUNDS};

    if (getenv("TSINK_LONG")) replay.rounds *= 100;
    replay.random_rounds = replay.rounds * (RANDOM_ROUNDS / ROUNDS);
    if (&fuzz_divisor) {
        replay.rounds = (replay.rounds + fuzz_divisor - 1) / fuzz_divisor;
        replay.random_rounds /= fuzz_divisor;
    }
    rng_init(&replay.rng, seed);
    printf("# TSINK_SEED=%" PRIu64 "\n", seed);
    for (int i = 1; i < argc; i++) replay_path(&replay, argv[i]);
    if (argc == 1 && find_corpus(corpus, sizeof(corpus), argv[0])) {
        replay_path(&replay, corpus);
    }
    replay_random(&replay);
    printf("# REL fuzz_inputs=%lu program=%s\n", replay.n_inputs, argv[0]);
    printf("ok 1 - %lu inputs\n1..1\n", replay.n_inputs);
    return 0;
}
