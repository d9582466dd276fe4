/* main.c -- runs a fuzz target on the files and directories it is given, without libFuzzer: for
 * compilers that have none, and for replaying seeds and crashes in the test suite. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { LARGEST = 1 << 20 };

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *input = malloc(LARGEST);
    if (file == NULL || input == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        free(input);
        return -1;
    }
    size_t n = fread(input, 1, LARGEST, file);
    fclose(file);
    fprintf(stderr, "%s: %zu bytes\n", path, n);
    LLVMFuzzerTestOneInput(input, n);
    free(input);
    return 1;
}

/* Returns how many inputs were run, or -1. */
static int replay(const char *path)
{
    DIR *directory = opendir(path);
    if (directory == NULL)
        return replay_file(path);
    int count = 0;
    for (struct dirent *e; count >= 0 && (e = readdir(directory)) != NULL;) {
        char name[4096];
        if (e->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        count = replay_file(name) < 0 ? -1 : count + 1;
    }
    closedir(directory);
    return count;
}

int main(int argc, char **argv)
{
    int count = 0;
    for (int i = 1; i < argc; i++) {
        int n = replay(argv[i]);
        if (n < 0)
            return EXIT_FAILURE;
        count += n;
    }
    fprintf(stderr, "%d inputs\n", count);
    return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
