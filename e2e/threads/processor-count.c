/*
 * Preloaded into a server: it may run on as many processors as PROCESSOR_COUNT says. Programs that pin their threads do
 * not work with it.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdlib.h>
#include <string.h>

int sched_getaffinity(pid_t process, size_t size, cpu_set_t *set) {
  (void)process;
  const char *count = getenv("PROCESSOR_COUNT");
  memset(set, 0, size);
  for (int processor = 0; processor < (count == NULL ? 1 : atoi(count)); processor++) CPU_SET_S(processor, size, set);
  return 0;
}
