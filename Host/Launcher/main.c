// Starts one program in a jail: rostrum-jail run [options] -- name [arguments]
//
//   -t a|b|c|d   the tier: a namespaces, Landlock and filter; b Landlock and filter; c filter; d none of them
//   -u N -g N    user and group to become; needs root
//   -n N         open descriptors; -p N threads and processes of the user
//   -d PATH      the program's folder, readable, and its working folder
//   -r PATH      may be read; -x PATH may be read and executed; more than once
//   -i PATH      the interpreter to execute, -s PATH the script that descriptor 3 shows
//   -c           descriptor 4 is the cgroup.procs to enter
//
// Descriptor 3 is the verified program, or the verified script. Standard streams go through.
#define _GNU_SOURCE
#include "jail.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

_Noreturn void fail(const char *step) {
  dprintf(STDERR_FILENO, "rostrum-jail: cannot %s: %s\n", step, strerror(errno));
  _exit(exit_not_started);
}

_Noreturn void fail_path(const char *step, const char *path) {
  dprintf(STDERR_FILENO, "rostrum-jail: cannot %s %s: %s\n", step, path, strerror(errno));
  _exit(exit_not_started);
}

static _Noreturn void misuse(const char *text) {
  dprintf(STDERR_FILENO, "rostrum-jail: %s\nThis program is started by rostrum, which puts plugins into a jail.\n", text);
  _exit(64);
}

static unsigned long number(const char *text, unsigned long maximum) {
  char *end = NULL;
  errno = 0;
  unsigned long value = strtoul(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || value > maximum) misuse("a number is out of range");
  return value;
}

static void set_tier(struct jail *jail, const char *letter) {
  if (strlen(letter) != 1 || strchr("abcd", letter[0]) == NULL) misuse("the tier is a, b, c or d");
  jail->namespaces = letter[0] == 'a';
  jail->landlock = letter[0] <= 'b';
  jail->filter = letter[0] <= 'c';
}

static void add_grant(struct jail *jail, const char *path, bool may_execute, bool is_device) {
  if (path[0] != '/') misuse("paths are absolute");
  if (jail->grant_count == maximum_grants) misuse("too many paths");
  jail->grants[jail->grant_count++] =
      (struct grant){.path = path, .descriptor = -1, .may_execute = may_execute, .is_device = is_device};
}

static void read_arguments(struct jail *jail, int count, char **arguments) {
  int option;
  set_tier(jail, "a");
  while ((option = getopt(count, arguments, "+t:u:g:n:p:d:r:x:i:s:c")) != -1) {
    switch (option) {
    case 't': set_tier(jail, optarg); break;
    case 'u': jail->uid = (uid_t)number(optarg, 0xfffffffe), jail->set_user = true; break;
    case 'g': jail->gid = (gid_t)number(optarg, 0xfffffffe); break;
    case 'n': jail->descriptors = number(optarg, 65536); break;
    case 'p': jail->processes = number(optarg, 65536); break;
    case 'd': jail->directory = optarg, add_grant(jail, optarg, false, false); break;
    case 'r': add_grant(jail, optarg, false, false); break;
    case 'x': add_grant(jail, optarg, true, false); break;
    case 'i': jail->interpreter = optarg, add_grant(jail, optarg, true, false); break;
    case 's': jail->script = optarg; break;
    case 'c': jail->group = true; break;
    default: misuse("unknown option");
    }
  }
  if (optind >= count) misuse("the program's name is missing");
  if ((jail->interpreter == NULL) != (jail->script == NULL)) misuse("an interpreter needs a script");
  if (jail->script != NULL && optind + 1 >= count) misuse("the script is missing among the arguments");
  if (jail->set_user && (jail->uid == 0 || jail->gid == 0)) misuse("a plugin never runs as root");
  jail->arguments = arguments + optind;
  add_grant(jail, "/dev/null", false, true);
}

// The kernel kills this process when the host's thread ends; it may have ended already.
static void die_with(pid_t parent) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) fail("watch the host");
  if (getppid() != parent) _exit(exit_not_started);
}

static void enter_group(const struct jail *jail) {
  if (!jail->group) return;
  if (write(group_descriptor, "0", 1) != 1) fail("enter the control group");
}

// The memory killer takes a plugin before anything else. Without /proc there is nothing to set.
static void offer_to_memory_killer(void) {
  int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  if (write(file, "1000", 4) != 4) fail("set the order of the memory killer");
  close(file);
}

// Moves the executable to the first number that the program can never open, and drops all other descriptors.
static void keep_executable(struct jail *jail) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) fail("read the limits");
  if (jail->descriptors < 16) jail->descriptors = 16;
  if (jail->descriptors >= limit.rlim_cur) jail->descriptors = limit.rlim_cur - 1;
  int moved = fcntl(image_descriptor, F_DUPFD_CLOEXEC, (int)jail->descriptors);
  if (moved < 0) fail("keep the verified program");
  if (syscall(SYS_close_range, 3U, (unsigned)moved - 1, 0U) != 0) fail("close descriptors");
  if (syscall(SYS_close_range, (unsigned)moved + 1, ~0U, 0U) != 0) fail("close descriptors");
  jail->executable = moved;
}

static void open_grants(struct jail *jail) {
  for (size_t i = 0; i < jail->grant_count; i++) {
    struct grant *grant = &jail->grants[i];
    struct stat status;
    grant->descriptor = open(grant->path, O_PATH | O_CLOEXEC);
    if (grant->descriptor < 0 || fstat(grant->descriptor, &status) != 0) fail_path("open", grant->path);
    grant->is_directory = S_ISDIR(status.st_mode);
  }
}

static void set_limit(int resource, rlim_t value, const char *step) {
  struct rlimit limit = {value, value};
  if (setrlimit(resource, &limit) != 0) fail(step);
}

// The script's path is what the interpreter opens, so it must be the file that was verified.
static void check_script(struct jail *jail) {
  struct stat verified, found;
  if (jail->script == NULL) return;
  if (fstat(jail->executable, &verified) != 0) fail("look at the verified script");
  if (stat(jail->script, &found) != 0) {
    if (errno != EACCES || jail->namespaces) fail_path("find the script", jail->script);
    // A folder above is closed to the plugin's user, so the interpreter gets the verified file itself.
    static char path[32];
    int kept = fcntl(jail->executable, F_DUPFD, 3);
    if (kept < 0) fail("keep the verified script");
    snprintf(path, sizeof path, "/proc/self/fd/%d", kept);
    jail->arguments[1] = path;
    return;
  }
  if (verified.st_dev != found.st_dev || verified.st_ino != found.st_ino) {
    errno = ESTALE;
    fail_path("use the script", jail->script);
  }
}

// The descriptor of the script made room for the one of the interpreter, at the same number.
static void take_interpreter(struct jail *jail) {
  if (jail->interpreter == NULL) return;
  for (size_t i = 0; i < jail->grant_count; i++) {
    if (jail->grants[i].path != jail->interpreter) continue;
    if (dup3(jail->grants[i].descriptor, jail->executable, O_CLOEXEC) < 0) fail("keep the interpreter");
  }
}

static void drop_user(const struct jail *jail) {
  if (jail->set_user) {
    if (jail->processes > 0) set_limit(RLIMIT_NPROC, jail->processes, "limit processes");
    if (setgroups(0, NULL) != 0) fail("leave all groups");
    if (setresgid(jail->gid, jail->gid, jail->gid) != 0) fail("change the group");
    if (setresuid(jail->uid, jail->uid, jail->uid) != 0) fail("change the user");
  }
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
  if (syscall(SYS_capset, &header, none) != 0) fail("drop all capabilities");
}

static _Noreturn void execute(struct jail *jail) {
  if (jail->directory != NULL && chdir(jail->directory) != 0) fail_path("enter", jail->directory);
  drop_user(jail);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("give up new privileges");
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) fail("forbid dumps");
  check_script(jail);
  take_interpreter(jail);
  set_limit(RLIMIT_NOFILE, jail->descriptors, "limit descriptors");
  if (jail->landlock) restrict_files(jail);
  if (jail->filter) restrict_calls(jail);
  // The host may have written this file just now, and a child that it forked meanwhile for something else has it open
  // for writing until that child executes its own program.
  struct timespec pause = {0, 1000 * 1000};
  for (int attempt = 0; attempt < busy_attempts; attempt++) {
    syscall(SYS_execveat, jail->executable, "", jail->arguments, environ, AT_EMPTY_PATH);
    if (errno != ETXTBSY) break;
    nanosleep(&pause, NULL);
    errno = ETXTBSY;
  }
  fail_path("execute", jail->interpreter != NULL ? jail->interpreter : jail->arguments[0]);
}

// The first process of the namespace: all others die with it, and it ends when the launcher does. Orphans are reaped
// by the kernel, because SIGCHLD is ignored.
static _Noreturn void run_first_process(int launcher_lives) {
  char byte;
  signal(SIGCHLD, SIG_IGN);
  if (launcher_lives != 0 && dup3(launcher_lives, 0, O_CLOEXEC) < 0) _exit(exit_not_started);
  if (syscall(SYS_close_range, 1U, ~0U, 0U) != 0) _exit(exit_not_started);
  while (read(0, &byte, 1) < 0 && errno == EINTR) {
  }
  _exit(0);
}

// Ends as the program did, so that the host sees it as its own child.
static _Noreturn void end_like(int status) {
  if (WIFSIGNALED(status)) {
    sigset_t none;
    signal(WTERMSIG(status), SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    raise(WTERMSIG(status));
  }
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : exit_not_started);
}

// With a namespace of process numbers the program is a child of the launcher, beside the namespace's first process.
static _Noreturn void run_in_namespace(struct jail *jail) {
  int lifeline[2];
  if (pipe2(lifeline, O_CLOEXEC) != 0) fail("make a pipe");
  pid_t first = fork();
  if (first < 0) fail("start the namespace");
  if (first == 0) {
    // Only the launcher holds the other end, and the program until it executes.
    close(lifeline[1]);
    run_first_process(lifeline[0]);
  }
  close(lifeline[0]);
  pid_t program = fork();
  if (program < 0) fail("start the program");
  if (program == 0) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) fail("watch the launcher");
    // Here, because mounts can be copied only in the namespace in which they were opened, and /proc shows the processes
    // of whoever mounts it.
    open_grants(jail);
    enter_view(jail);
    execute(jail);
  }
  // Signals to the group reach the program by themselves; the launcher only passes on how it ends.
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  if (syscall(SYS_close_range, 0U, (unsigned)lifeline[1] - 1, 0U) != 0) _exit(exit_not_started);
  if (syscall(SYS_close_range, (unsigned)lifeline[1] + 1, ~0U, 0U) != 0) _exit(exit_not_started);
  int status = 0;
  while (waitpid(program, &status, 0) < 0) {
    if (errno != EINTR) _exit(exit_not_started);
  }
  close(lifeline[1]);
  kill(first, SIGKILL);
  while (waitpid(first, NULL, 0) < 0 && errno == EINTR) {
  }
  end_like(status);
}

int main(int count, char **arguments) {
  struct jail jail = {.descriptors = 64};
  pid_t parent = getppid();
  if (count >= 2 && strcmp(arguments[1], "probe") == 0) return probe(count - 2, arguments + 2);
  if (count < 2 || strcmp(arguments[1], "run") != 0) misuse("nothing to do");
  read_arguments(&jail, count - 1, arguments + 1);

  if (getsid(0) != getpid() && setsid() < 0) fail("make a session");
  die_with(parent);
  enter_group(&jail);
  offer_to_memory_killer();
  keep_executable(&jail);
  // One byte rather than none: the kernel hands a dump to a program even at a limit of none.
  set_limit(RLIMIT_CORE, 1, "forbid dumps");
  set_limit(RLIMIT_MSGQUEUE, 0, "forbid message queues");
  if (jail.namespaces) {
    enter_namespaces();
    run_in_namespace(&jail);
  }
  open_grants(&jail);
  execute(&jail);
}
