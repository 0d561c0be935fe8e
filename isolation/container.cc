#include "isolation/container.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/cgroup_members.h"
#include "base/files.h"
#include "base/pipe.h"
#include "isolation/attempt_status.h"
#include "isolation/launch_info.h"
#include "isolation/net/attachment.h"
#include "isolation/net/netns.h"
#include "isolation/net/port_filter.h"
#include "isolation/root.h"

namespace dewar {
namespace {

constexpr char kInitLeaf[] = "init";
constexpr int kReportTimeoutMs = 60000;  // a sane host needs some milliseconds
constexpr int kCleanupTimeoutMs = 10000;

/// What the task may see of its own groups: cgroup2 alone at the usual place, or each controller's folder.
std::map<std::string, std::string> visible_cgroups(const CgroupLayout& layout, const std::string& id) {
  if (layout.v1.empty()) return {{"", layout.unified + "/" + id}};
  std::map<std::string, std::string> groups;
  for (const auto& [controller, folder] : layout.v1) groups[controller] = folder + "/" + id;
  if (!layout.unified.empty()) groups["unified"] = layout.unified + "/" + id;
  return groups;
}

ContainerRecipe make_recipe(const ContainerSpec& spec, const Cgroup& group, const Cgroup& leaf) {
  const SandboxSpec& sandbox = spec.sandbox;
  RootSpec root;
  root.sandbox_folder = spec.sandbox_folder;
  root.log_folder = spec.log_folder;
  root.binds = sandbox.binds;
  root.tmpfs = sandbox.tmpfs;
  root.devices = sandbox.devices;
  root.image = !spec.image_folder.empty();
  root.first_id = spec.first_id;
  root.cgroups = visible_cgroups(spec.cgroups, spec.id);

  ContainerRecipe recipe;
  recipe.root = spec.root_folder;
  recipe.image = spec.image_folder;
  recipe.layer = spec.layer_folder;
  recipe.first_id = spec.first_id;
  recipe.mounts = make_root(look_at_host_root(), root);
  recipe.hostname = spec.hostname;
  recipe.network = sandbox.network;
  recipe.v1_roots = group.v1_folders();
  for (const std::string& folder : leaf.v1_folders()) {
    if (std::ranges::find(recipe.v1_roots, folder) == recipe.v1_roots.end()) recipe.v1_cgroups.push_back(folder);
  }
  return recipe;
}

std::uint64_t namespaces_of(const SandboxSpec& sandbox) {
  const std::uint64_t own_network = sandbox.network == Network::kHost ? 0 : CLONE_NEWNET;
  return CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | own_network;
}

/// PID 1, born into its leaf and its namespaces; the root is still to be built.
struct Init {
  pid_t pid;
  UniqueFd pidfd, report;
};

Result<Init> spawn_init(const ContainerSpec& spec, const Cgroup& group, const Cgroup& leaf) {
  const UniqueFd input = DEWAR_TRY(pipe_holding(encode_recipe(make_recipe(spec, group, leaf)), "the recipe"));
  Pipe output = DEWAR_TRY(make_pipe());
  UniqueFd birthplace;
  if (!leaf.unified().empty()) birthplace = DEWAR_TRY(open_file(leaf.unified(), O_PATH | O_DIRECTORY));
  Spawn start;
  start.program = spec.launcher;
  start.argv = {"dewar-launch"};
  start.fds = {-1, -1, STDERR_FILENO, input.get(), output.writer.get()};
  start.new_group = true;
  start.cgroup = birthplace.get();
  start.namespaces = namespaces_of(spec.sandbox);
  const pid_t pid = DEWAR_TRY(spawn(start));
  auto pidfd = open_child(pid);
  if (pidfd) return Init{pid, std::move(pidfd).take(), std::move(output.reader)};
  ::kill(pid, SIGKILL);  // our own child, not reaped yet: the number is still its
  retry_eintr([&] { return ::waitpid(pid, nullptr, 0); });
  return Failure{std::move(pidfd).error()};
}

Result<Init> start_init(const ContainerSpec& spec, Cgroup& cgroup) {
  const SandboxSpec& sandbox = spec.sandbox;
  DEWAR_TRY(cgroup.set_first(sandbox.limits).context("step limits"));
  const auto devices = DEWAR_TRY(grants_for(sandbox.devices).context("step devices"));
  DEWAR_TRY(cgroup.allow_devices(devices).context("step devices"));
  if (sandbox.network == Network::kHost && sandbox.enforce_ports)
    DEWAR_TRY(allow_only_ports(spec.ports, cgroup.unified()).context("step ports"));
  const Cgroup leaf = DEWAR_TRY(cgroup.create_leaf(kInitLeaf, /*measured=*/false).context("step cgroup"));
  DEWAR_TRY(make_dirs(spec.root_folder, 0700).context("step root"));
  return spawn_init(spec, cgroup, leaf).context("step launch");
}

Result<void> wait_for_root(const UniqueFd& pipe) {
  pollfd watched{pipe.get(), POLLIN, 0};
  if (retry_eintr([&] { return ::poll(&watched, 1, kReportTimeoutMs); }) == 0)
    return fail(std::errc::timed_out, "step launch: wait for dewar-launch");
  const std::string bytes = DEWAR_TRY(read_all(pipe.get(), "dewar-launch's report"));
  const auto report = decode_report(bytes);
  if (!report) return fail("step launch: dewar-launch ended without a word: was it killed?");
  if (!report->step.empty()) return fail(explain_step(report->step, report->error, report->detail));
  return {};
}

/// True if a process with this /proc/<pid>/status is number 1 in the innermost PID namespace it lives in (NSpid in
/// proc(5)).
bool is_pid_one(const std::string& status) {
  const std::size_t at = status.find("\nNSpid:");
  if (at == std::string::npos) return false;
  const std::string line = status.substr(at + 1, status.find('\n', at + 1) - at - 1);
  return line.ends_with("\t1") && std::ranges::count(line, '\t') >= 2;
}

Result<void> remove_root_folder(const std::string& path) {
  if (::rmdir(path.c_str()) != 0 && errno != ENOENT) return fail_errno("remove " + path);
  return {};
}

/// The network goes before the cgroup: while that is there, nobody else takes the network for lost. A plugin's failure
/// keeps nothing else from going.
Result<void> clear_away(const ContainerSpec& spec, Cgroup& cgroup, int timeout_ms) {
  DEWAR_TRY(cgroup.kill_all(timeout_ms));
  auto detached = detach_network(spec.id);
  if (auto leaf = cgroup.find_leaf(kInitLeaf)) (void)leaf->remove();  // what is empty goes without a look into it
  DEWAR_TRY(cgroup.remove());
  DEWAR_TRY(remove_root_folder(spec.root_folder));
  return detached;
}

/// There is no half a container.
Failure give_up(const ContainerSpec& spec, Cgroup& cgroup, Error why) {
  const auto swept = clear_away(spec, cgroup, kCleanupTimeoutMs);
  if (!swept) why.context += " (and cleaning up failed: " + swept.error().message() + ")";
  return Failure{std::move(why)};
}

}  // namespace

Result<Container> Container::create(const ContainerSpec& spec) {
  Container container = DEWAR_TRY(begin(spec));
  DEWAR_TRY(container.finish(spec));
  return container;
}

Result<Container> Container::begin(const ContainerSpec& spec) {
  Cgroup cgroup = DEWAR_TRY(Cgroup::create(spec.cgroups, spec.id).context("step cgroup"));
  auto init = start_init(spec, cgroup);
  if (!init) return give_up(spec, cgroup, std::move(init).error());
  Init born = std::move(init).take();
  auto id = identify(born.pid);
  if (!id) return give_up(spec, cgroup, std::move(id).context("step init").error());
  Container container(std::move(cgroup), std::move(born.pidfd), *id, spec.sandbox.network);
  container.report_ = std::move(born.report);
  return container;
}

Result<void> Container::finish(const ContainerSpec& spec) {
  auto up = wait_for_root(std::exchange(report_, {}));
  if (up && network_ == Network::kBridge)
    up = attach_network(spec.network, {spec.id, spec.hostname, cgroup_.sweep_folder(), init_id_.pid})
             .context("step network");
  if (up) return {};
  (void)send_signal(init_, SIGKILL);
  Failure why = give_up(spec, cgroup_, std::move(up).error());
  siginfo_t ended{};  // not waited for: it may hang in a mount
  (void)::waitid(P_PIDFD, static_cast<id_t>(init_.get()), &ended, WEXITED | WNOHANG);
  return why;
}

Result<Container> Container::adopt(const ContainerSpec& spec) {
  Cgroup cgroup = DEWAR_TRY(Cgroup::find(spec.cgroups, spec.id));
  const auto leaf = cgroup.find_leaf(kInitLeaf);
  const std::vector<pid_t> candidates = leaf ? DEWAR_TRY(members(leaf->sweep_folder())) : std::vector<pid_t>{};
  for (const pid_t pid : candidates) {
    const auto id = identify(pid);
    const auto status = read_file("/proc/" + std::to_string(pid) + "/status");
    if (!id || !status || !is_pid_one(*status)) continue;
    auto pidfd = open_process(*id);
    if (!pidfd) continue;
    if (!status->starts_with(std::string("Name:\t") + kInitName + "\n"))
      return fail(std::errc::operation_canceled, "adopt container '" + spec.id + "', whose root is not complete");
    if (spec.sandbox.network == Network::kBridge && !is_attached(spec.id))
      return fail(std::errc::operation_canceled, "adopt container '" + spec.id + "', whose network is not complete");
    return Container(std::move(cgroup), std::move(pidfd).take(), *id, spec.sandbox.network);
  }
  return fail(std::errc::no_such_process, "find PID 1 of container '" + spec.id + "'");
}

Result<void> Container::sweep(const ContainerSpec& spec, int timeout_ms) {
  auto cgroup = Cgroup::find(spec.cgroups, spec.id);
  if (cgroup) return clear_away(spec, *cgroup, timeout_ms).context("clear container '" + spec.id + "'");
  if (cgroup.error().code != std::errc::no_such_file_or_directory) return Failure{cgroup.error()};
  DEWAR_TRY(remove_root_folder(spec.root_folder));
  return detach_network(spec.id);  // the host may have been rebooted since
}

SampledGroup Container::sampled() const {
  SampledGroup group = cgroup_.sampled();
  if (network_ != Network::kHost && !has_ended(init_))
    group.net_dev = "/proc/" + std::to_string(init_id_.pid) + "/net/dev";
  return group;
}

std::string Container::address() const {
  if (network_ != Network::kBridge || has_ended(init_)) return {};
  auto address = address_in_netns(init_id_.pid);
  return address ? std::move(address).take() : std::string{};
}

}  // namespace dewar
