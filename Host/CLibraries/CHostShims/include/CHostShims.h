#ifndef CHOST_SHIMS_H
#define CHOST_SHIMS_H

#include <sys/types.h>

// A standard stream of the child that is not a descriptor of the parent.
#define CHOSTSHIMS_STREAM_NULL (-1)
#define CHOSTSHIMS_STREAM_INHERIT (-2)

#define CHOSTSHIMS_MAXIMUM_EXTRAS 8

// The last thing the child tried before it failed.
#define CHOSTSHIMS_STEP_CLONE 0
#define CHOSTSHIMS_STEP_SESSION 1
#define CHOSTSHIMS_STEP_STREAMS 2
#define CHOSTSHIMS_STEP_CLOSE 3
#define CHOSTSHIMS_STEP_USER 4
#define CHOSTSHIMS_STEP_DIRECTORY 5
#define CHOSTSHIMS_STEP_PARENT 6
#define CHOSTSHIMS_STEP_EXECUTE 7

struct CHostShims_SpawnRequest {
  const char *_Nonnull path;
  char *_Nullable const *_Nonnull argv;
  char *_Nullable const *_Nonnull envp;
  const char *_Nullable directory;
  int streams[3];
  // More descriptors of the parent, which the child gets as 3, 4, … in this order; at most
  // CHOSTSHIMS_MAXIMUM_EXTRAS.
  const int *_Nullable extras;
  int extra_count;
  // Booleans.
  int new_session;
  int set_user;
  uid_t uid;
  gid_t gid;
  // Sent to the child when the calling thread ends; 0 for none.
  int death_signal;
};

struct CHostShims_Child {
  pid_t pid;
  int pidfd;
  // One of CHOSTSHIMS_STEP_… when the call failed.
  int failed_step;
};

// Starts a program that holds descriptors 0 to 2 and the extra ones only, with default signal actions and an empty signal mask.
// Returns 0, or the errno of the step that failed; then there is no child.
int CHostShims_spawn(const struct CHostShims_SpawnRequest *_Nonnull request, struct CHostShims_Child *_Nonnull child);

// Reaps the child when it has ended. Returns 1 and fills in code and signal, 0 when it still runs, -1 with errno.
// One of code and signal is -1.
int CHostShims_reap(int pidfd, int *_Nonnull code, int *_Nonnull signal);

// Sends a signal to exactly that process, or returns -1 with errno.
int CHostShims_signal(int pidfd, int signal);

// Makes a pipe whose ends an exec closes: the read end, then the write end. Returns 0, or -1 with errno.
int CHostShims_pipe(int ends[_Nonnull 2]);

// Names the calling thread; only the first 15 bytes count.
void CHostShims_name_thread(const char *_Nonnull name);

// Blocks of memory from this size come from the kernel and go back to it when they are freed.
void CHostShims_return_blocks_from(int bytes);

#endif
