/* Shifts the wall clock of one program by the seconds that stand in the file of SHIFTED_CLOCK; the file may change while
   the program runs. Clocks that only run on are left alone, as a real change of the time leaves them. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long shift(void)
{
  static char path[512];
  if (path[0] == 0) {
    const char *set = getenv("SHIFTED_CLOCK");
    if (set == NULL) return 0;
    for (size_t i = 0; set[i] != 0 && i < sizeof path - 1; i++) path[i] = set[i];
  }
  char text[32] = {0};
  int descriptor = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return 0;
  ssize_t count = read(descriptor, text, sizeof text - 1);
  close(descriptor);
  return count > 0 ? strtol(text, NULL, 10) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
  int result = (int)syscall(SYS_clock_gettime, clock, now);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += shift();
  return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
  struct timespec time;
  (void)zone;
  if (clock_gettime(CLOCK_REALTIME, &time) != 0) return -1;
  now->tv_sec = time.tv_sec;
  now->tv_usec = time.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *now)
{
  struct timespec time;
  if (clock_gettime(CLOCK_REALTIME, &time) != 0) return (time_t)-1;
  if (now != NULL) *now = time.tv_sec;
  return time.tv_sec;
}
