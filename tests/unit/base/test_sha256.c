/* Goal: SHA-256 is that of the standard, whatever the length. Method: the standard's own
 * examples, and lengths around the ends of a block against figures of coreutils. */
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "tests/unit/base/base_suites.h"

static const struct sha_case {
    char c;          /* repeated n times; or text */
    size_t n;
    const char *text, *want;
} cases[] = {
    {0, 0, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {0, 0, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {0, 0, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {0, 0, "pw", "30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4"},
    {'a', 55, NULL, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"},
    {'a', 56, NULL, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a"},
    {'a', 63, NULL, "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34"},
    {'a', 64, NULL, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"},
    {'a', 65, NULL, "635361c48bb9eab14198e76ea8ab7f1a41685d6ad62aa9146d301d4f17eb0ae0"},
    {'a', 1000000, NULL, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
};

START_TEST(test_sha256_is_the_standards)
{
    const struct sha_case *c = &cases[_i];
    char hex[SHA256_HEX_LEN + 1] = "";
    size_t n = c->text ? strlen(c->text) : c->n;
    char *bytes = malloc(n + 1);

    if (c->text) memcpy(bytes, c->text, n);
    else memset(bytes, c->c, n);
    sha256_hex(hex, slice_of(bytes, n));
    ck_assert_msg(strcmp(hex, c->want) == 0, "case %d: %s", _i, hex);
    free(bytes);
}
END_TEST

Suite *suite_sha256(void)
{
    Suite *suite = suite_create("sha256");
    TCase *tc = tcase_create("sha256");

    tcase_add_loop_test(tc, test_sha256_is_the_standards, 0, sizeof(cases) / sizeof(cases[0]));
    suite_add_tcase(suite, tc);
    return suite;
}
