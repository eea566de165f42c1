// Tells the thread sanitizer what it can not see of Swift's `Mutex`; docs/decisions/0025 says why.
//
// The fast path of `Mutex` is compiled into our code, where the sanitizer sees its atomic operations. When two threads
// meet, the slow path runs in the runtime library, which is not instrumented, and the kernel hands the lock over inside
// a futex call. Loaded before that library, this one stands in for its three slow functions, calls them, and reports
// what they did: taking a lock acquires what the one who gave it back released. Nothing else changes, so a race of
// data that no lock guards is reported as before.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

// Swift's calling convention with `self` in the context register.
#define METHOD __attribute__((swiftcall))
#define SELF __attribute__((swift_context))

// Of the sanitizer's runtime; absent in programs that are not instrumented.
extern void __tsan_acquire(void *address) __attribute__((weak));
extern void __tsan_release(void *address) __attribute__((weak));

static void *original(const char *name) {
  void *function = dlsym(RTLD_NEXT, name);
  if (function != NULL) return function;
  fprintf(stderr, "The runtime library has no %s: Mutex has changed, so its report to the sanitizer must too\n", name);
  abort();
}

#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define TRY_LOCK "$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

METHOD void rostrum_lock(uint32_t thread, SELF void *handle) __asm__(LOCK);
METHOD bool rostrum_try_lock(SELF void *handle) __asm__(TRY_LOCK);
METHOD void rostrum_unlock(SELF void *handle) __asm__(UNLOCK);

METHOD void rostrum_lock(uint32_t thread, SELF void *handle) {
  METHOD void (*lock)(uint32_t, SELF void *) = original(LOCK);
  lock(thread, handle);
  if (__tsan_acquire) __tsan_acquire(handle);
}

METHOD bool rostrum_try_lock(SELF void *handle) {
  METHOD bool (*try_lock)(SELF void *) = original(TRY_LOCK);
  bool taken = try_lock(handle);
  if (taken && __tsan_acquire) __tsan_acquire(handle);
  return taken;
}

METHOD void rostrum_unlock(SELF void *handle) {
  METHOD void (*unlock)(SELF void *) = original(UNLOCK);
  if (__tsan_release) __tsan_release(handle);
  unlock(handle);
}
