// How many cores the process may use.
#define _GNU_SOURCE
#include "ck_pool.h"

#if defined(__APPLE__)
#include <sys/sysctl.h>

ptrdiff_t ck_core_count(void) {
  int count = 0;
  size_t size = sizeof count;
  if (sysctlbyname("hw.perflevel0.physicalcpu", &count, &size, 0, 0) != 0 &&
      sysctlbyname("hw.physicalcpu", &count, &size, 0, 0) != 0) {
    return 1;
  }
  return count > 0 ? count : 1;
}
#else
#include <sched.h>
#include <stdio.h>

// The first processor that shares a core with this one and that this process may use too.
static int first_sibling(int processor, const cpu_set_t *allowed) {
  char path[96];
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
           processor);
  FILE *file = fopen(path, "r");
  if (!file) return processor;
  int first = processor, begin, end;
  while (fscanf(file, "%d", &begin) == 1) {
    end = begin;
    int separator = fgetc(file);
    if (separator == '-') {
      if (fscanf(file, "%d", &end) != 1) break;
      separator = fgetc(file);
    }
    for (int i = begin; i <= end && i < first; i++) {
      if (CPU_ISSET(i, allowed)) first = i;
    }
    if (separator != ',') break;
  }
  fclose(file);
  return first;
}

ptrdiff_t ck_core_count(void) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 1;
  ptrdiff_t cores = 0;
  for (int i = 0; i < CPU_SETSIZE; i++) {
    if (CPU_ISSET(i, &allowed) && first_sibling(i, &allowed) == i) cores += 1;
  }
  return cores > 0 ? cores : 1;
}
#endif
