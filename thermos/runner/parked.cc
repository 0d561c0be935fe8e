#include "thermos/runner/parked.h"

#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>

#include "isolation/cgroup/stuck.h"

namespace dewar {

std::string what_holds(const ContainerSpec& spec) {
  const auto group = Cgroup::find(spec.cgroups, spec.id);
  std::string words;
  if (!group) return words;
  for (const std::string& process : describe_members(group->sweep_folder()))
    words += (words.empty() ? "" : ", ") + process;
  return words;
}

pid_t park(const ContainerSpec& spec) {
  constexpr int kSweepMs = 1000, kFirstPauseMs = 100, kLongestPauseMs = 60'000;
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::setsid();
  ::prctl(PR_SET_NAME, "dewar-parked", 0, 0, 0);
  ::close_range(0, ~0u, 0);
  for (int pause = kFirstPauseMs; !Container::sweep(spec, kSweepMs); pause = std::min(pause * 2, kLongestPauseMs))
    ::poll(nullptr, 0, pause);
  ::_exit(0);
}

}  // namespace dewar
