// Tells the thread sanitizer what it can not see of Swift's continuations; docs/decisions/0025 says why.
//
// Whoever resumes a continuation releases the task to the sanitizer. A task that was suspended meanwhile is queued, and
// the thread that runs it acquires the task. A task that comes to its `await` after the resume goes straight on, and
// nothing acquires. Loaded before the runtime library, this one stands in for the function that awaits, and lets the
// task go on through a function that acquires the task first. Nothing else changes, so a race of data that no
// continuation hands over is reported as before.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

// Swift's calling convention for what may suspend, and the context that it passes on.
#define SUSPENDING __attribute__((swiftasynccall))
#define CONTEXT __attribute__((swift_async_context))

struct context;
typedef SUSPENDING void Resume(CONTEXT struct context *);
typedef SUSPENDING void Await(struct context *);

// The beginning of every context of a task.
struct context {
  struct context *parent;
  Resume *resume;
};

// Of the sanitizer's runtime; absent in programs that are not instrumented.
extern void __tsan_acquire(void *address) __attribute__((weak));

// Where waiting tasks go on. Guarded by locks that the sanitizer does not know: its own would order all tasks.
struct waiter {
  struct waiter *next;
  struct context *context;
  Resume *resume;
};
#define BUCKETS 1024
static struct {
  bool taken;
  struct waiter *first;
} buckets[BUCKETS];

static size_t bucket(struct context *context) { return ((uintptr_t)context >> 4) % BUCKETS; }

static void lock(size_t number) {
  while (__atomic_test_and_set(&buckets[number].taken, __ATOMIC_ACQUIRE)) {}
}

static void unlock(size_t number) { __atomic_clear(&buckets[number].taken, __ATOMIC_RELEASE); }

static void *original(void *scope, const char *name) {
  void *function = dlsym(scope, name);
  if (function == NULL) {
    fprintf(stderr, "The runtime library has no %s: continuations have changed, so must their report\n", name);
    abort();
  }
  return function;
}

static void remember(struct context *context, Resume *resume) {
  struct waiter *waiter = malloc(sizeof *waiter);
  if (waiter == NULL) abort();
  size_t number = bucket(context);
  *waiter = (struct waiter){.context = context, .resume = resume};
  lock(number);
  waiter->next = buckets[number].first;
  buckets[number].first = waiter;
  unlock(number);
}

static Resume *take(struct context *context) {
  size_t number = bucket(context);
  lock(number);
  struct waiter **place = &buckets[number].first;
  while (*place != NULL && (*place)->context != context) place = &(*place)->next;
  struct waiter *found = *place;
  if (found == NULL) abort();
  *place = found->next;
  unlock(number);
  Resume *resume = found->resume;
  free(found);
  return resume;
}

static SUSPENDING void resumed(CONTEXT struct context *context) {
  void *(*current)(void) = (void *(*)(void))original(RTLD_DEFAULT, "swift_task_getCurrent");
  context->resume = take(context);
  if (__tsan_acquire) __tsan_acquire(current());
  __attribute__((musttail)) return context->resume(context);
}

SUSPENDING void swift_continuation_await(struct context *context) {
  Await *await = (Await *)original(RTLD_NEXT, "swift_continuation_await");
  remember(context, context->resume);
  context->resume = resumed;
  __attribute__((musttail)) return await(context);
}
