#define _GNU_SOURCE
#include "jail.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

// Everything that is not named here does not exist for the program, so that libraries fall back as on an older kernel,
// and calls that a later kernel adds are refused as well. Names that the library or the machine does not know are left
// out.
static const char *const allowed[] = {
  // Descriptors and files that are open, or that Landlock lets through
  "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "close",
  "close_range", "dup", "dup2", "dup3", "lseek", "_llseek", "ftruncate", "ftruncate64", "flock", "fsync", "fdatasync",
  "fadvise64", "readahead", "open", "openat", "openat2", "stat", "fstat", "lstat", "stat64", "fstat64", "lstat64",
  "newfstatat", "fstatat64", "statx", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getcwd", "chdir",
  "fchdir", "getdents", "getdents64", "statfs", "fstatfs", "statfs64", "fstatfs64", "umask", "pipe", "pipe2", "splice",
  "tee", "sendfile", "sendfile64", "copy_file_range", "memfd_create", "eventfd", "eventfd2", "signalfd", "signalfd4",
  "timerfd_create", "timerfd_settime", "timerfd_gettime", "poll", "ppoll", "select", "_newselect", "pselect6",
  "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2",
  // The ends of a socketpair; there is no other socket to use them on
  "recvfrom", "recv", "send", "shutdown", "getsockopt", "getsockname", "getpeername",
  // Memory
  "brk", "mmap", "mmap2", "munmap", "mprotect", "mremap", "madvise", "msync", "mincore", "pkey_alloc", "pkey_free",
  "pkey_mprotect", "membarrier",
  // Threads and time
  "futex", "futex_waitv", "futex_wait", "futex_wake", "futex_requeue", "set_robust_list", "get_robust_list", "rseq",
  "set_tid_address", "set_thread_area", "get_thread_area", "arch_prctl", "gettid", "sched_yield", "sched_getaffinity",
  "sched_getparam", "sched_getscheduler", "sched_get_priority_max", "sched_get_priority_min", "sched_rr_get_interval",
  "getcpu", "nanosleep", "clock_nanosleep", "clock_gettime", "clock_getres", "gettimeofday", "time", "times", "alarm",
  "setitimer", "getitimer", "timer_create", "timer_settime", "timer_gettime", "timer_getoverrun", "timer_delete",
  "pause", "exit", "exit_group", "restart_syscall",
  // Signals to itself
  "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigsuspend", "rt_sigtimedwait", "sigaltstack",
  "sigaction", "sigprocmask", "sigreturn", "sigsuspend", "sigpending",
  // What it is
  "getpid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "getpgrp",
  "getpgid", "getsid", "getpriority", "getrlimit", "ugetrlimit", "setrlimit", "getrusage", "sysinfo", "uname",
  "getrandom", "capget",
};

// What authors are likely to try, and should read “not permitted” about. Each name costs time at each start.
static const char *const refused[] = {
  "socket", "connect", "bind", "listen", "fork", "vfork", "execve", "ptrace", "process_vm_readv", "pidfd_open", "tkill",
  "setuid", "setgid", "setsid", "mount", "unshare", "setns", "chroot", "mkdir", "mkdirat", "unlink", "unlinkat",
  "rename", "renameat2", "symlink", "truncate", "chmod", "fchmod", "fchmodat", "utimensat", "inotify_init1", "bpf",
  "perf_event_open", "keyctl", "userfaultfd", "shmget", "sched_setaffinity", "setpriority", "mlock", "personality",
};

static const unsigned fcntl_commands[] = {
  F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW,
  F_DUPFD_CLOEXEC, F_SETPIPE_SZ, F_GETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS,
};

static const unsigned ioctl_commands[] = {TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIOCLEX, FIONCLEX};

static const unsigned prctl_options[] = {
  PR_SET_NAME, PR_GET_NAME, PR_SET_VMA, PR_GET_DUMPABLE, PR_CAPBSET_READ, PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS,
  PR_SET_THP_DISABLE, PR_GET_THP_DISABLE, PR_SET_TIMERSLACK, PR_GET_TIMERSLACK,
};

static void add(scmp_filter_ctx filter, uint32_t action, const char *name, unsigned count,
                const struct scmp_arg_cmp *comparisons) {
  int number = seccomp_syscall_resolve_name(name);
  if (number < 0) return;
  int code = seccomp_rule_add_array(filter, action, number, count, comparisons);
  if (code != 0) {
    errno = -code;
    fail_path("make a rule for", name);
  }
}

// Allows a call when the lower half of an argument, which is all that the kernel takes, has one of the values.
static void allow_values(scmp_filter_ctx filter, const char *name, unsigned argument, const unsigned *values,
                         size_t count) {
  for (size_t i = 0; i < count; i++) {
    struct scmp_arg_cmp same = SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, 0xffffffffU, values[i]);
    add(filter, SCMP_ACT_ALLOW, name, 1, &same);
  }
}

// Allows a call for this process and refuses it for any other.
static void allow_own_process(scmp_filter_ctx filter, const char *name) {
  scmp_datum_t self = (scmp_datum_t)getpid();
  struct scmp_arg_cmp same = SCMP_CMP(0, SCMP_CMP_EQ, self, 0);
  struct scmp_arg_cmp other = SCMP_CMP(0, SCMP_CMP_NE, self, 0);
  add(filter, SCMP_ACT_ALLOW, name, 1, &same);
  add(filter, SCMP_ACT_ERRNO(EPERM), name, 1, &other);
}

static void add_conditions(scmp_filter_ctx filter, const struct jail *jail) {
  const unsigned own[] = {0, (unsigned)getpid()};
  const unsigned long spaces = CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS
      | CLONE_NEWCGROUP;
  struct scmp_arg_cmp thread = SCMP_CMP(0, SCMP_CMP_MASKED_EQ, CLONE_THREAD | spaces, CLONE_THREAD);
  struct scmp_arg_cmp process = SCMP_CMP(0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0);
  struct scmp_arg_cmp program = SCMP_CMP(0, SCMP_CMP_EQ, (scmp_datum_t)jail->executable, 0);
  struct scmp_arg_cmp other_program = SCMP_CMP(0, SCMP_CMP_NE, (scmp_datum_t)jail->executable, 0);
  struct scmp_arg_cmp pair[] = {
    SCMP_CMP(0, SCMP_CMP_EQ, AF_UNIX, 0), SCMP_CMP(1, SCMP_CMP_MASKED_EQ, 0xf, SOCK_STREAM),
  };
  struct scmp_arg_cmp no_address = SCMP_CMP(4, SCMP_CMP_EQ, 0, 0);

  add(filter, SCMP_ACT_ALLOW, "clone", 1, &thread);
  add(filter, SCMP_ACT_ERRNO(EPERM), "clone", 1, &process);
  // This launcher's own; later the number is above what the program may open.
  add(filter, SCMP_ACT_ALLOW, "execveat", 1, &program);
  add(filter, SCMP_ACT_ERRNO(EPERM), "execveat", 1, &other_program);
  allow_own_process(filter, "kill");
  allow_own_process(filter, "tgkill");
  allow_values(filter, "prlimit64", 0, own, 2);
  allow_values(filter, "fcntl", 1, fcntl_commands, sizeof fcntl_commands / sizeof *fcntl_commands);
  allow_values(filter, "fcntl64", 1, fcntl_commands, sizeof fcntl_commands / sizeof *fcntl_commands);
  allow_values(filter, "ioctl", 1, ioctl_commands, sizeof ioctl_commands / sizeof *ioctl_commands);
  allow_values(filter, "prctl", 0, prctl_options, sizeof prctl_options / sizeof *prctl_options);
  // Event loops wake themselves through one; it leads nowhere else.
  add(filter, SCMP_ACT_ALLOW, "socketpair", 2, pair);
  add(filter, SCMP_ACT_ALLOW, "sendto", 1, &no_address);
}

void restrict_calls(const struct jail *jail) {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
  if (filter == NULL) fail("make the filter of system calls");
  // Calls by another machine's numbers are an attack.
  int code = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  if (code == 0) code = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
  if (code != 0) {
    errno = -code;
    fail("set up the filter of system calls");
  }
  for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) add(filter, SCMP_ACT_ALLOW, allowed[i], 0, NULL);
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    add(filter, SCMP_ACT_ERRNO(EPERM), refused[i], 0, NULL);
  }
  add_conditions(filter, jail);
  code = seccomp_load(filter);
  if (code != 0) {
    errno = -code;
    fail("apply the filter of system calls");
  }
  seccomp_release(filter);
}
