// What two pipes and two processes can do at best: lines go to a child that answers each with a line.
// usage: pipe CALLS DEPTH REQUEST_BYTES REPLY_BYTES
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 18 };
static char in[BUFFER], out[BUFFER];

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static int lines(const char *bytes, ssize_t count) {
  int found = 0;
  for (const char *p = bytes; (p = memchr(p, '\n', bytes + count - p)); p++) found++;
  return found;
}

static void put(int descriptor, long count, long size) {
  for (long i = 0; i < count; i++) {
    memset(out + i * size, 'x', size - 1);
    out[i * size + size - 1] = '\n';
  }
  for (long done = 0; done < count * size;) {
    ssize_t written = write(descriptor, out + done, count * size - done);
    if (written <= 0) exit(1);
    done += written;
  }
}

static int compare(const void *a, const void *b) {
  double d = *(const double *)a - *(const double *)b;
  return d < 0 ? -1 : d > 0;
}

int main(int argc, char **argv) {
  if (argc != 5) return 64;
  long calls = atol(argv[1]), depth = atol(argv[2]), request = atol(argv[3]), reply = atol(argv[4]);
  if (calls < 1 || depth < 1 || request < 1 || reply < 1 || depth * request > BUFFER || depth * reply > BUFFER)
    return 64;
  int to[2], from[2];
  if (pipe(to) || pipe(from)) return 1;
  pid_t child = fork();
  if (child < 0) return 1;
  if (child == 0) {
    close(to[1]);
    for (ssize_t got; (got = read(to[0], in, BUFFER)) > 0;) {
      int count = lines(in, got);
      if (count) put(from[1], count, reply);
    }
    _exit(0);
  }
  close(to[0]);
  close(from[1]);
  double *times = malloc(sizeof(double) * calls);
  if (!times) return 1;
  long sent = 0, done = 0;
  double begin = now(), last = begin;
  long first = depth < calls ? depth : calls;
  put(to[1], first, request);
  sent = first;
  while (done < calls) {
    ssize_t got = read(from[0], in, BUFFER);
    if (got <= 0) return 1;
    int count = lines(in, got);
    double moment = now();
    for (int i = 0; i < count && done < calls; i++) times[done++] = moment - last;
    last = moment;
    long more = count < calls - sent ? count : calls - sent;
    if (more > 0) put(to[1], more, request);
    sent += more;
  }
  double seconds = now() - begin;
  qsort(times, calls, sizeof(double), compare);
  printf("{\"p50\":%.2f,\"p99\":%.2f,\"callsPerSecond\":%.0f}\n", times[calls / 2] * 1e6, times[calls * 99 / 100] * 1e6,
         calls / seconds);
  return 0;
}
