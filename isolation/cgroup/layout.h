#pragma once

#include <map>
#include <string>
#include <vector>

namespace dewar {

/// Where this host's cgroup controllers are, and our own group in each hierarchy. Found by prepare_host_cgroups()
/// (isolation/cgroup/host.h, through libcgroup); plain text afterwards, so that the runner needs no library.
struct CgroupLayout {
  std::string unified;                    ///< our group in cgroup2: "/sys/fs/cgroup/dewar"; empty: no cgroup2
  std::vector<std::string> v2;            ///< controllers that cgroup2 holds: "cpu", "memory", "pids", "io"
  std::map<std::string, std::string> v1;  ///< controller -> our group there: "memory" -> "/sys/fs/cgroup/memory/dewar"
};

template <class Coder>
void code(Coder& c, CgroupLayout& v) {
  c(v.unified, v.v2, v.v1);
}

}  // namespace dewar
