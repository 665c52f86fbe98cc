// The worker pool. One 64-bit word holds the next chunk and the number of chunks of the running
// job; a thread claims a chunk by adding one. A claim below the number of chunks is always good:
// the job cannot end, and so its fields cannot change, before that chunk is done.
#define _POSIX_C_SOURCE 200112L  // clock_gettime and posix_memalign in strict C too
#include "ck_pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

// How long a thread looks for work before it sleeps.
#define SPIN_NANOSECONDS 50000
#define PAUSES_PER_LOOK 32

typedef struct worker {
  ck_pool *pool;
  ptrdiff_t slot;
  pthread_t thread;
} worker;

struct ck_pool {
  _Alignas(64) _Atomic(uint64_t) word;  // chunks << 32 | next chunk
  _Alignas(64) _Atomic(uint64_t) done;
  _Alignas(64) _Atomic(int) sleepers;
  _Atomic(int) joiner_sleeps;
  _Atomic(int) busy;
  _Atomic(int) stop;
  ck_pool_body body;
  void *context;
  pthread_mutex_t mutex;
  pthread_cond_t work;
  pthread_cond_t joined;
  ptrdiff_t workers;
  worker *list;
};

static inline void pause_briefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static inline uint64_t nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline int has_work(ck_pool *pool) {
  const uint64_t word = atomic_load(&pool->word);
  return (word & 0xffffffff) < word >> 32;
}

static inline int is_joined(ck_pool *pool, ptrdiff_t chunks) {
  return atomic_load(&pool->done) == (uint64_t)chunks;
}

// Claims and runs chunks until none is left.
static void run_chunks(ck_pool *pool, ptrdiff_t slot) {
  while (has_work(pool)) {
    const uint64_t word = atomic_fetch_add(&pool->word, 1);
    const uint64_t chunk = word & 0xffffffff, chunks = word >> 32;
    if (chunk >= chunks) return;
    pool->body(pool->context, (ptrdiff_t)chunk, slot);
    if (atomic_fetch_add(&pool->done, 1) + 1 == chunks && atomic_load(&pool->joiner_sleeps)) {
      pthread_mutex_lock(&pool->mutex);
      pthread_cond_signal(&pool->joined);
      pthread_mutex_unlock(&pool->mutex);
    }
  }
}

static void sleep_until_work(ck_pool *pool) {
  pthread_mutex_lock(&pool->mutex);
  atomic_fetch_add(&pool->sleepers, 1);
  while (!has_work(pool) && !atomic_load(&pool->stop)) {
    pthread_cond_wait(&pool->work, &pool->mutex);
  }
  atomic_fetch_sub(&pool->sleepers, 1);
  pthread_mutex_unlock(&pool->mutex);
}

static void *work(void *argument) {
  const worker *self = argument;
  ck_pool *pool = self->pool;
  while (!atomic_load(&pool->stop)) {
    const uint64_t end = nanoseconds() + SPIN_NANOSECONDS;
    int found = has_work(pool);
    while (!found && nanoseconds() < end) {
      for (int i = 0; i < PAUSES_PER_LOOK && !found; i++) {
        pause_briefly();
        found = has_work(pool);
      }
    }
    if (!found) sleep_until_work(pool);
    run_chunks(pool, self->slot);
  }
  return 0;
}

ck_pool *ck_pool_create(ptrdiff_t threads) {
  ck_pool *pool = 0;
  if (posix_memalign((void **)&pool, 64, sizeof *pool) != 0) return 0;
  *pool = (ck_pool){0};
  pool->list = calloc((size_t)(threads > 0 ? threads : 1), sizeof(worker));
  if (!pool->list) {
    free(pool);
    return 0;
  }
  pthread_mutex_init(&pool->mutex, 0);
  pthread_cond_init(&pool->work, 0);
  pthread_cond_init(&pool->joined, 0);
  for (ptrdiff_t slot = 1; slot < threads; slot++) {
    worker *next = &pool->list[pool->workers];
    *next = (worker){.pool = pool, .slot = slot};
    if (pthread_create(&next->thread, 0, work, next) != 0) {
      ck_pool_destroy(pool);
      return 0;
    }
    pool->workers += 1;
  }
  return pool;
}

void ck_pool_destroy(ck_pool *pool) {
  pthread_mutex_lock(&pool->mutex);
  atomic_store(&pool->stop, 1);
  pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->mutex);
  for (ptrdiff_t i = 0; i < pool->workers; i++) pthread_join(pool->list[i].thread, 0);
  pthread_cond_destroy(&pool->joined);
  pthread_cond_destroy(&pool->work);
  pthread_mutex_destroy(&pool->mutex);
  free(pool->list);
  free(pool);
}

// Waits for chunks that other threads still run: spins, then sleeps.
static void join(ck_pool *pool, ptrdiff_t chunks) {
  const uint64_t end = nanoseconds() + SPIN_NANOSECONDS;
  while (!is_joined(pool, chunks)) {
    for (int i = 0; i < PAUSES_PER_LOOK && !is_joined(pool, chunks); i++) pause_briefly();
    if (nanoseconds() < end || is_joined(pool, chunks)) continue;
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->joiner_sleeps, 1);
    while (!is_joined(pool, chunks)) pthread_cond_wait(&pool->joined, &pool->mutex);
    atomic_store(&pool->joiner_sleeps, 0);
    pthread_mutex_unlock(&pool->mutex);
  }
}

void ck_pool_run(ck_pool *pool, ptrdiff_t chunks, ck_pool_body body, void *context) {
  if (chunks <= 0) return;
  if (chunks == 1 || pool->workers == 0 || atomic_exchange(&pool->busy, 1)) {
    for (ptrdiff_t chunk = 0; chunk < chunks; chunk++) body(context, chunk, 0);
    return;
  }
  pool->body = body;
  pool->context = context;
  atomic_store(&pool->done, 0);
  atomic_store(&pool->word, (uint64_t)chunks << 32);
  if (atomic_load(&pool->sleepers) > 0) {
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
  }
  run_chunks(pool, 0);
  join(pool, chunks);
  atomic_store(&pool->busy, 0);
}
