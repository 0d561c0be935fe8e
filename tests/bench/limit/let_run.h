// Attempts that are to be measured while they run.
#pragma once

#include <signal.h>
#include <unistd.h>

namespace bench {

/// Has every process of the group (0: nobody) run for a moment, and waits until all have.
inline void let_run(pid_t group) {
  if (group == 0) return;
  constexpr unsigned kMicroseconds = 200'000;
  ::kill(-group, SIGUSR1);
  ::usleep(kMicroseconds);
}

}  // namespace bench
