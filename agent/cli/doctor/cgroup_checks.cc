// Where tasks' cgroups go, and which limits can be set there.
#include <linux/bpf.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "agent/cli/doctor/check.h"
#include "base/cgroup_members.h"
#include "base/files.h"
#include "isolation/bpf.h"

namespace dewar {
namespace {

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

bool offers(const HostCgroups& host, const std::string& controller) {
  return has(host.v2, controller) || host.v1.contains(controller);
}

Finding version(const DoctorHost& host) {
  if (!host.cgroups) return missing(host.cgroups.error().message(), "mount the cgroup file systems at /sys/fs/cgroup");
  const HostCgroups& found = *host.cgroups;
  if (found.v1.empty()) return ok("v2");
  if (found.unified.empty())
    return degraded("v1: a process joins its group after its birth, and a tree is killed one by one",
                    "mount cgroup2 as well, or boot with systemd.unified_cgroup_hierarchy=1");
  return ok("hybrid: v1 for limits, v2 for birth, killing and cpu time");
}

Finding subtree(const DoctorHost& host) {
  if (!host.cgroups) return missing("unknown", "see above");
  const HostCgroups& found = *host.cgroups;
  std::vector<std::string> folders;
  if (!found.unified.empty()) folders.push_back(found.unified);
  for (const auto& [controller, folder] : found.v1) folders.push_back(folder);
  const auto closed =
      std::ranges::find_if(folders, [](const std::string& f) { return ::access(f.c_str(), W_OK) != 0; });
  if (closed != folders.end() && !host.root) return degraded(*closed + " is root's", "run dewar doctor as root");
  if (closed != folders.end()) return missing(*closed + " cannot be written", "mount it writable, or delegate it");
  switch (found.subtree) {
    case Subtree::kDelegated:
      return ok("delegated to us: " + found.path);
    case Subtree::kNamed:
      return ok("as asked for: " + found.path);
    case Subtree::kTop:
      return ok("a group of our own at the top; none was delegated to us");
  }
  return ok("");
}

Finding controllers(const DoctorHost& host) {
  if (!host.cgroups) return missing("unknown", "see above");
  std::string there, lacking;
  for (const char* name : {"cpu", "memory", "pids"}) {
    std::string& words = offers(*host.cgroups, name) ? there : lacking;
    words += (words.empty() ? "" : ", ") + std::string(name);
  }
  if (lacking.empty()) return ok(there);
  return missing("without " + lacking, host.cgroups->path.empty()
                                           ? "enable it in the kernel: cgroup_enable=memory on its command line, say"
                                           : "give the subtree " + host.cgroups->path + " that controller");
}

Finding more_controllers(const DoctorHost& host) {
  if (!host.cgroups) return degraded("unknown", "see above");
  const HostCgroups& found = *host.cgroups;
  std::string there, lacking;
  const auto sort = [&](const std::string& name, bool is_there) {
    std::string& words = is_there ? there : lacking;
    words += (words.empty() ? "" : ", ") + name;
  };
  sort("io", offers(found, "io") || offers(found, "blkio"));
  for (const char* name : {"cpuset", "hugetlb"}) sort(name, offers(found, name));
  if (lacking.empty()) return ok(there);
  return degraded((there.empty() ? "none" : there) + "; tasks cannot limit " + lacking,
                  found.path.empty() ? "enable them in the kernel, if tasks are to ask for them"
                                     : "delegate them too, if tasks are to ask for them");
}

/// Only groups below the top have limits.
bool any_group_has(const std::string& folder, const char* file) {
  const auto has_file = [&](const std::string& name) { return exists(folder + "/" + name + "/" + file); };
  return exists(folder + "/" + file) || std::ranges::any_of(child_groups(folder), has_file);
}

Finding swap(const DoctorHost& host) {
  if (!host.cgroups) return degraded("unknown", "see above");
  const HostCgroups& found = *host.cgroups;
  const bool v2 = has(found.v2, "memory");
  const std::string folder = v2 ? found.unified : found.v1.contains("memory") ? found.v1.at("memory") : "";
  const char* const file = v2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes";
  if (folder.empty()) return degraded("no memory controller", "see above");
  if (any_group_has(folder, file)) return ok("counted and limited");
  return degraded("not accounted: a task's memory limit does not bind what it swaps out",
                  "boot with swapaccount=1, or turn swap off");
}

Finding pressure(const DoctorHost&) {
  if (read_file("/proc/pressure/memory")) return ok("told by the kernel (PSI)");
  return degraded("not told: nobody sees how long tasks wait for memory, io and cpu", "boot with psi=1");
}

Result<void> load(bpf_prog_type type, bpf_attach_type hook) {
  const std::vector<bpf_insn> code = DEWAR_TRY(BpfAssembler().answer(1).take());
  DEWAR_TRY(load_bpf(code, type, hook, "dewar_doctor"));
  return {};
}

Finding devices(const DoctorHost& host) {
  if (host.cgroups && host.cgroups->v1.contains("devices")) return ok("held by the devices controller of v1");
  if (!host.cgroups || host.cgroups->unified.empty())
    return degraded("held by mounts and capabilities only", "mount cgroup2, or v1's devices controller");
  return by_trial(host, load(BPF_PROG_TYPE_CGROUP_DEVICE, BPF_CGROUP_DEVICE), "held by an eBPF program",
                  Health::kDegraded, "enable CONFIG_CGROUP_BPF in the kernel");
}

Finding ports(const DoctorHost& host) {
  if (!host.cgroups || host.cgroups->unified.empty())
    return degraded("foreign ports are told, but enforce_ports is refused", "mount cgroup2");
  return by_trial(host, load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_BIND),
                  "can be enforced, by an eBPF program", Health::kDegraded, "enable CONFIG_CGROUP_BPF in the kernel");
}

constexpr std::array kChecks = {
    Check{"cgroups", "version", version},
    Check{"cgroups", "subtree", subtree},
    Check{"cgroups", "controllers", controllers},
    Check{"cgroups", "more limits", more_controllers},
    Check{"cgroups", "swap", swap},
    Check{"cgroups", "pressure", pressure},
    Check{"cgroups", "devices", devices},
    Check{"cgroups", "ports", ports},
};

}  // namespace

std::span<const Check> cgroup_checks() { return kChecks; }

}  // namespace dewar
