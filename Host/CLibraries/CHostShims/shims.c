#define _GNU_SOURCE
#include "CHostShims.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x00001000
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

// Code that runs in the child before it executes its program. The child shares the parent's memory, so it must leave no
// trace there: only raw system calls (library functions may lock, and sanitizers wrap them), and no instrumentation.
#if __has_attribute(disable_sanitizer_instrumentation)
#define IN_CHILD __attribute__((disable_sanitizer_instrumentation))
#else
#define IN_CHILD
#endif

// The name of `clone` that sanitizers do not wrap: their wrapper expects a child with memory of its own.
extern int __clone(int (*function)(void *), void *stack, int flags, void *argument, ...);

enum { stack_size = 64 * 1024 };

// The parent's thread waits until the child executes or ends, so a failure is reported by writing here.
struct launch {
  const struct CHostShims_SpawnRequest *request;
  pid_t parent;
  volatile int step;
  volatile int error;
};

// What the kernel takes as `struct sigaction`; all zero means the default action.
struct kernel_action {
  unsigned long words[4];
};

IN_CHILD static void reset_signals(void) {
  struct kernel_action action = {{0}};
  for (int number = 1; number <= 64; number++) {
    // Fails for KILL and STOP only.
    syscall(SYS_rt_sigaction, number, &action, NULL, 8);
  }
}

IN_CHILD static int set_up_descriptors(const struct CHostShims_SpawnRequest *request) {
  int sources[3 + CHOSTSHIMS_MAXIMUM_EXTRAS];
  int count = 3 + request->extra_count;

  for (int i = 0; i < count; i++) {
    int source = i < 3 ? request->streams[i] : request->extras[i - 3];
    sources[i] = -1;
    if (source == CHOSTSHIMS_STREAM_INHERIT) continue;
    if (source == CHOSTSHIMS_STREAM_NULL) source = (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC, 0);
    if (source < 0) return -1;
    // Out of the way of the numbers that the next loop overwrites.
    sources[i] = (int)syscall(SYS_fcntl, source, F_DUPFD_CLOEXEC, count);
    if (sources[i] < 0) return -1;
  }
  for (int i = 0; i < count; i++) {
    if (sources[i] >= 0 && syscall(SYS_dup3, sources[i], i, 0) < 0) return -1;
  }
  return 0;
}

// glibc's wrappers would change every thread of the parent.
IN_CHILD static int set_user(uid_t uid, gid_t gid) {
  if (syscall(SYS_getuid) == uid && syscall(SYS_geteuid) == uid && syscall(SYS_getgid) == gid
      && syscall(SYS_getegid) == gid) {
    return 0;
  }
  if (syscall(SYS_setgroups, 0, NULL) != 0) return -1;
  if (syscall(SYS_setresgid, gid, gid, gid) != 0) return -1;
  return (int)syscall(SYS_setresuid, uid, uid, uid);
}

IN_CHILD static int prepare(struct launch *launch) {
  const struct CHostShims_SpawnRequest *request = launch->request;

  reset_signals();
  launch->step = CHOSTSHIMS_STEP_SESSION;
  if (request->new_session && syscall(SYS_setsid) < 0) return -1;
  launch->step = CHOSTSHIMS_STEP_STREAMS;
  if (set_up_descriptors(request) != 0) return -1;
  launch->step = CHOSTSHIMS_STEP_CLOSE;
  if (syscall(SYS_close_range, 3U + (unsigned)request->extra_count, ~0U, 0U) != 0) return -1;
  launch->step = CHOSTSHIMS_STEP_USER;
  if (request->set_user && set_user(request->uid, request->gid) != 0) return -1;
  launch->step = CHOSTSHIMS_STEP_DIRECTORY;
  if (request->directory != NULL && syscall(SYS_chdir, request->directory) != 0) return -1;
  launch->step = CHOSTSHIMS_STEP_PARENT;
  if (request->death_signal != 0) {
    // After the change of user, which clears it.
    if (syscall(SYS_prctl, PR_SET_PDEATHSIG, request->death_signal, 0, 0, 0) != 0) return -1;
    if (syscall(SYS_getppid) != launch->parent) {
      errno = ESRCH;
      return -1;
    }
  }
  return 0;
}

// A child of another thread, forked while that thread wrote this file, has it open for writing until it executes its
// own program: a matter of milliseconds.
IN_CHILD static void execute(const struct CHostShims_SpawnRequest *request) {
  struct timespec pause = {0, 1000 * 1000};
  for (int attempt = 0; attempt < 2000; attempt++) {
    syscall(SYS_execve, request->path, request->argv, request->envp);
    if (errno != ETXTBSY) return;
    syscall(SYS_nanosleep, &pause, NULL);
  }
  errno = ETXTBSY;
}

IN_CHILD static int run_child(void *argument) {
  struct launch *launch = argument;
  unsigned long no_signals = 0;

  if (prepare(launch) == 0) {
    launch->step = CHOSTSHIMS_STEP_EXECUTE;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, NULL, 8);
    execute(launch->request);
  }
  launch->error = errno;
  syscall(SYS_exit_group, 127);
  return 127;
}

int CHostShims_spawn(const struct CHostShims_SpawnRequest *request, struct CHostShims_Child *child) {
  struct launch launch = {.request = request, .parent = getpid(), .step = CHOSTSHIMS_STEP_CLONE, .error = 0};
  sigset_t all, before;
  int pidfd = -1;

  child->pid = -1;
  child->pidfd = -1;
  child->failed_step = CHOSTSHIMS_STEP_STREAMS;
  if (request->extra_count < 0 || request->extra_count > CHOSTSHIMS_MAXIMUM_EXTRAS) return EINVAL;
  child->failed_step = CHOSTSHIMS_STEP_CLONE;
  char *stack = mmap(NULL, stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return errno;
  // No handler of the parent may run in the child, which shares its memory.
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  pid_t pid = __clone(run_child, stack + stack_size, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &launch, &pidfd);
  int clone_error = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  munmap(stack, stack_size);
  if (pid < 0) return clone_error;
  if (launch.error != 0) {
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    close(pidfd);
    child->failed_step = launch.step;
    return launch.error;
  }
  child->pid = pid;
  child->pidfd = pidfd;
  return 0;
}

int CHostShims_reap(int pidfd, int *code, int *signal) {
  siginfo_t info = {0};

  *code = -1;
  *signal = -1;
  if (waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG) != 0) return -1;
  if (info.si_pid == 0) return 0;
  if (info.si_code == CLD_EXITED) {
    *code = info.si_status;
  } else {
    *signal = info.si_status;
  }
  return 1;
}

int CHostShims_signal(int pidfd, int signal) {
  return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

int CHostShims_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

void CHostShims_name_thread(const char *name) {
  char short_name[16] = {0};

  strncpy(short_name, name, sizeof short_name - 1);
  pthread_setname_np(pthread_self(), short_name);
}

void CHostShims_return_blocks_from(int bytes) {
  // Fails only for sizes that the allocator does not know, and then it stays as it was.
  mallopt(M_MMAP_THRESHOLD, bytes);
}
