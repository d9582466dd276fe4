/* Invariant: whatever a handler gives as the arguments of FL_FILE, FL_PART or FL_READ, the request
 * gets one answer or a close, and the loop goes on.
 *
 * The first byte of the input picks the operation, the others are its arguments as marshal writes
 * them; they may be cut short. Each input has a loop of its own. */
#include "drive.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { LONGEST = 4096, TURNS = 50 };

static struct drive d;

static void check(bool ok)
{
    if (!ok)
        abort();
}

static bool open_loop(void)
{
    fl_listener spec = {.framing = "http", .max_message = 1 << 20, .wants = FL_WANT_IDS};
    spec.max_line = spec.max_head = 8192;
    spec.max_fields = 100;
    if (!start(&d, "poll", &usual))
        return false;
    d.sockets[1] = listen_here(0);
    return fl_listen(d.loop, d.sockets[1], &spec) == 1;
}

/* Opens the operation in the place of a reply, or as a command. */
static void say_operation(int op, uint32_t arguments, const uint8_t *data, size_t n)
{
    item(&d);
    say_op(&d, op, arguments);
    memcpy(d.out + d.len, data, n);
    d.len += n;
}

/* Turns until the client has an answer or its end. */
static void await_answer(int fd)
{
    char byte;
    for (int i = 0; i < TURNS; i++) {
        ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
        if (n >= 0 || errno != EAGAIN)
            return;
        check(turn(&d, 100) >= 0);
    }
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (size < 1 || size > LONGEST || !open_loop())
        return 0;
    int http = input[0] % 3 == 0;
    int fd = client_of(&d, http, 0);
    bool part = input[0] % 3 == 1;
    tell(fd, http ? "OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n" : part ? "one\ntwo\n" : "line\n");
    check(await(&d, FL_MESSAGES) != NULL);
    d.count = 0;
    if (http)
        say_operation(FL_FILE, 3, input + 1, size - 1);
    else
        say_operation(part ? FL_PART : FL_READ, part ? 3 : 4, input + 1, size - 1);
    if (!http) /* a part may be empty, so another answer follows; none if these are no values */
        reply(&d, "answer");
    int rc = turn(&d, 0);
    check(rc >= 0 || rc == FL_EOUTBOX);
    if (rc >= 0)
        await_answer(fd);
    close(fd);
    fl_drain(d.loop);
    for (int i = 0; i < TURNS && connections(&d) > 0; i++)
        turn(&d, 100);
    check(connections(&d) == 0);
    fl_free(d.loop);
    for (int i = 0; i < LISTENERS; i++) {
        if (d.sockets[i] >= 0)
            close(d.sockets[i]);
    }
    return 0;
}
