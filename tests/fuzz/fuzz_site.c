/* Invariant: a path that is served names something below the root, and a range that is served lies
 * in the file.
 *
 * The first byte of the input gives the size of the file and whether hidden names are served; up to
 * the first NUL follows a path, and behind it the fields of a request. */
#include <stdlib.h>
#include <string.h>

#include "site_path.h"
#include "site_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static char *copy(const uint8_t *data, size_t n)
{
    char *p = malloc(n);
    check(p != NULL || n == 0);
    return n == 0 ? p : memcpy(p, data, n);
}

/* What openat() would do with the name, component by component. */
static void check_name(const struct site_path *p, bool hidden)
{
    check(p->len < SITE_PATH && strlen(p->name) == p->len && p->name[0] != '/');
    check(strchr(p->name, '\\') == NULL);
    for (const char *at = p->name; *at != '\0';) {
        size_t n = strcspn(at, "/");
        check(n > 0);
        check(at[0] != '.' || (hidden && n > 1 && !(n == 2 && at[1] == '.')));
        at += n;
        if (*at == '/')
            check(*++at != '\0');
    }
}

static void check_ranges(const struct site_request *r, uint64_t size)
{
    struct site_range list[SITE_RANGES];
    int n = site_request_ranges(r, size, list);
    uint64_t sum = 0;
    check(n >= -1 && n <= SITE_RANGES);
    for (int i = 0; i < n; i++) {
        check(list[i].first <= list[i].last && list[i].last < size);
        sum += list[i].last - list[i].first + 1;
    }
    check(sum <= size);
}

static void check_request(struct text head, uint64_t size)
{
    static const struct site_version version = {{"\"e1\"", 4}, 784111777};
    struct site_request r;
    bool ranged;
    site_request_read(&r, head);
    for (int i = 0; i < SITE_FIELDS; i++) {
        const char *at = r.fields[i].at;
        check(at == NULL || (at >= head.at && at + r.fields[i].len <= head.at + head.len));
    }
    int status = site_request_weigh(&r, &version, &ranged);
    check(status == 200 || status == 304 || status == 412);
    check_ranges(&r, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (size < 1)
        return 0;
    bool hidden = (input[0] & 1) != 0;
    uint64_t file = (uint64_t)(input[0] >> 1) * 10;
    const uint8_t *rest = input + 1;
    const uint8_t *nul = memchr(rest, '\0', size - 1);
    size_t path_len = nul == NULL ? size - 1 : (size_t)(nul - rest);
    size_t head_len = nul == NULL ? 0 : size - 1 - path_len - 1;
    char *path = copy(rest, path_len);
    char *head = head_len == 0 ? NULL : copy(nul + 1, head_len);
    struct site_path p;
    if (site_path_decode((struct text){path, path_len}, hidden, &p) == 0)
        check_name(&p, hidden);
    if (head != NULL)
        check_request((struct text){head, head_len}, file);
    free(path);
    free(head);
    return 0;
}
