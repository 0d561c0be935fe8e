#pragma once

#include <string>

#include "base/process.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "isolation/cgroup/cgroup.h"
#include "isolation/net/cni.h"
#include "isolation/sandbox_spec.h"

namespace dewar {

/// What a container is made from. All paths are the host's.
struct ContainerSpec {
  std::string id;  ///< name of its cgroup, unique on the host
  CgroupLayout cgroups;
  SandboxSpec sandbox;
  std::string hostname;
  CniNetwork network;                ///< with Network::kBridge
  std::vector<std::uint16_t> ports;  ///< allotted ones; with enforce_ports no others can be bound
  std::string sandbox_folder;        ///< writable, owned by the task's user; at the same path inside
  std::string log_folder;            ///< shown read-only at the same path inside
  std::string root_folder;           ///< an empty folder on which the new root is built
  std::string image_folder;          ///< what the root shows; empty: the host's own programs and libraries
  std::string layer_folder;          ///< takes the changes to the image; empty: the root is read-only
  std::uint32_t first_id = 0;        ///< of the user namespace's ids, see ContainerRecipe; 0: none
  std::string launcher;              ///< dewar-launch
};

/// One task's sandbox: a cgroup with its limits, namespaces, a root, and a PID 1 that reaps orphans. All its state is
/// in the kernel, so it is found again after the death of whoever made it. Not thread-safe.
class Container {
 public:
  /// Makes it; blocks for some milliseconds. On an error nothing is left behind. Errors name the step:
  /// "step pivot_root: …".
  static Result<Container> create(const ContainerSpec& spec);
  /// The same in two halves, for who has something to do meanwhile: its root is built while it is measured and watched
  /// already, and nothing can run in it before finish(). On an error of either nothing is left behind.
  static Result<Container> begin(const ContainerSpec& spec);
  Result<void> finish(const ContainerSpec& spec);
  /// Finds one that is alive. Errors: ENOENT (no such group), ESRCH (its PID 1 has ended), ECANCELED (its making did
  /// not come to its end: sweep it).
  static Result<Container> adopt(const ContainerSpec& spec);
  /// Kills and removes all that is left of a container, however little that is; waits at most `timeout_ms`.
  static Result<void> sweep(const ContainerSpec& spec, int timeout_ms);

  /// The pidfd of PID 1: readable once the container has died.
  const UniqueFd& init() const { return init_; }
  const ProcessId& init_id() const { return init_id_; }
  Cgroup& cgroup() { return cgroup_; }
  const Cgroup& cgroup() const { return cgroup_; }
  /// Changes the limits of what runs: all of them, or none.
  Result<void> update(const Limits& limits) { return cgroup_.set(limits); }
  /// Where to read what it has used, with what went through its own network.
  SampledGroup sampled() const;
  /// Its address in a network of its own; empty if it has none.
  std::string address() const;

 private:
  Container(Cgroup cgroup, UniqueFd init, ProcessId id, Network network)
      : cgroup_(std::move(cgroup)), init_(std::move(init)), init_id_(id), network_(network) {}
  Cgroup cgroup_;
  UniqueFd init_;
  ProcessId init_id_;
  Network network_;
  UniqueFd report_;  ///< between begin() and finish()
};

}  // namespace dewar
