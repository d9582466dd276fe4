/* uring_abi.h -- the part of the kernel's io_uring interface that uring.c uses, in our own words,
 * so that it is built against any header and asks the running kernel what it has. Level 0.
 *
 * Numbers and layouts are the kernel's and never change; uring.c checks the sizes. */
#ifndef FL_URING_ABI_H
#define FL_URING_ABI_H

#include <stdint.h>

enum {
    URING_SYS_SETUP = 425, /* system calls: the same numbers on all architectures but Alpha */
    URING_SYS_ENTER = 426,
    URING_SYS_REGISTER = 427,

    URING_SETUP_CQSIZE = 1 << 3,
    URING_SETUP_CLAMP = 1 << 4,
    URING_SETUP_R_DISABLED = 1 << 6,
    URING_SETUP_SUBMIT_ALL = 1 << 7,
    URING_SETUP_COOP_TASKRUN = 1 << 8,
    URING_SETUP_TASKRUN_FLAG = 1 << 9,
    URING_SETUP_SINGLE_ISSUER = 1 << 12,
    URING_SETUP_DEFER_TASKRUN = 1 << 13,
    URING_SETUP_NO_SQARRAY = 1 << 16,

    URING_FEAT_SINGLE_MMAP = 1 << 0,
    URING_FEAT_NODROP = 1 << 1,
    URING_FEAT_EXT_ARG = 1 << 8,
    URING_FEAT_CQE_SKIP = 1 << 11,

    URING_ENTER_GETEVENTS = 1 << 0,
    URING_ENTER_EXT_ARG = 1 << 3,

    URING_SQ_CQ_OVERFLOW = 1 << 1,
    URING_SQ_TASKRUN = 1 << 2,

    URING_REGISTER_EVENTFD = 4,
    URING_REGISTER_PROBE = 8,
    URING_REGISTER_ENABLE_RINGS = 12,
    URING_REGISTER_PBUF_RING = 22,

    URING_OP_NOP = 0,
    URING_OP_POLL_ADD = 6,
    URING_OP_ASYNC_CANCEL = 14,
    URING_OP_SEND = 26,
    URING_OP_RECV = 27,
    URING_OP_LAST = 28,

    URING_OP_SUPPORTED = 1 << 0, /* flag of a struct uring_probe_op */

    URING_SQE_BUFFER_SELECT = 1 << 5,
    URING_SQE_CQE_SKIP = 1 << 6, /* a completion only if it fails */

    URING_RECV_POLL_FIRST = 1 << 0, /* in ioprio */
    URING_RECV_MULTISHOT = 1 << 1,

    URING_CANCEL_ALL = 1 << 0,
    URING_CANCEL_ANY = 1 << 2,

    URING_CQE_BUFFER = 1 << 0, /* the buffer's number is in the upper half of flags */
    URING_CQE_MORE = 1 << 1,   /* the request goes on */
    URING_CQE_BUFFER_SHIFT = 16,
};

#define URING_OFF_SQES 0x10000000

struct uring_sqe {
    uint8_t opcode;
    uint8_t flags;
    uint16_t ioprio;
    int32_t fd;
    uint64_t off;
    uint64_t addr;
    uint32_t len;
    uint32_t op_flags; /* of poll, send or cancel */
    uint64_t user_data;
    uint16_t buf_group;
    uint16_t personality;
    int32_t file_index;
    uint64_t pad[2];
};

struct uring_cqe {
    uint64_t user_data;
    int32_t res;
    uint32_t flags;
};

struct uring_sq_offsets {
    uint32_t head, tail, ring_mask, ring_entries, flags, dropped, array, resv1;
    uint64_t user_addr;
};

struct uring_cq_offsets {
    uint32_t head, tail, ring_mask, ring_entries, overflow, cqes, flags, resv1;
    uint64_t user_addr;
};

struct uring_params {
    uint32_t sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle, features, wq_fd;
    uint32_t resv[3];
    struct uring_sq_offsets sq_off;
    struct uring_cq_offsets cq_off;
};

struct uring_getevents_arg {
    uint64_t sigmask;
    uint32_t sigmask_sz, min_wait_usec;
    uint64_t ts;
};

struct uring_timespec {
    int64_t sec, nsec;
};

struct uring_probe_op {
    uint8_t op, resv;
    uint16_t flags;
    uint32_t resv2;
};

struct uring_probe {
    uint8_t last_op, ops_len;
    uint16_t resv;
    uint32_t resv2[3];
    struct uring_probe_op ops[URING_OP_LAST];
};

/* An entry of the ring of buffers; the ring's tail lies in the resv of the first one. */
struct uring_buf {
    uint64_t addr;
    uint32_t len;
    uint16_t bid, resv;
};

struct uring_buf_reg {
    uint64_t ring_addr;
    uint32_t ring_entries;
    uint16_t bgid, flags;
    uint64_t resv[3];
};

#endif
