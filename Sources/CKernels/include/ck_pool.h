// A pool of compute threads: fork and join of small jobs with a short spin before parking.
#ifndef CK_POOL_H
#define CK_POOL_H

#include <stddef.h>

#pragma clang assume_nonnull begin

typedef struct ck_pool ck_pool;

/// One chunk of a job, run on the thread with this slot (0 is the caller).
typedef void (*ck_pool_body)(void *_Nullable context, ptrdiff_t chunk, ptrdiff_t slot);

/// Starts `threads - 1` threads; null when the system refuses them.
ck_pool *_Nullable ck_pool_create(ptrdiff_t threads);

/// Joins the threads. No job may be running.
void ck_pool_destroy(ck_pool *pool);

/// Runs the chunks 0 ..< chunks (fewer than 2^31) and returns when all are done.
///
/// A call while another job is running, also one made by a chunk, runs its chunks itself.
void ck_pool_run(ck_pool *pool, ptrdiff_t chunks, ck_pool_body body, void *_Nullable context);

/// Processor cores this process may use, hardware threads of one core counted once; at least 1.
ptrdiff_t ck_core_count(void);

#pragma clang assume_nonnull end
#endif
