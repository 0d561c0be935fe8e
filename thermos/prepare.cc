#include "thermos/prepare.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>

#include "base/files.h"
#include "base/process.h"
#include "fetcher/request.h"
#include "isolation/capabilities.h"
#include "isolation/cgroup/disk.h"
#include "isolation/cgroup/host.h"
#include "isolation/cgroup/knobs.h"
#include "isolation/cgroup/supervisors.h"
#include "isolation/disk/project_quota.h"
#include "isolation/root.h"
#include "isolation/seccomp/profile.h"
#include "thermos/accounts.h"
#include "thermos/bridge.h"
#include "thermos/events.h"
#include "thermos/inotify_room.h"
#include "thermos/ports.h"
#include "thermos/programs.h"
#include "thermos/spec/bind.h"
#include "thermos/task_root.h"

extern char** environ;

namespace dewar {
namespace {

constexpr const char* kCgroupName = "dewar";
constexpr const char* kDefaultUser = "nobody";
constexpr const char* kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Mesos's skeleton; tasks that came without a master belong to agent and framework "local".
std::string executor_folder(const std::string& work_dir, const std::string& task_id) {
  return work_dir + "/slaves/local/frameworks/local/executors/" + task_id;
}

/// Equal for equal tasks: what the author wrote, before ports and ids.
std::string source_of(const TaskSpec& task, const std::string& user) {
  Encoder encoder;
  encoder(task_json(task), user, task.sandbox, task.logger);
  return encoder.take();
}

/// A task that is taken over stays in the groups it was started in, whatever groups its new caller runs in; after a
/// reboot, or once the delegated unit has been stopped, they are gone, and so are its processes.
bool is_there(const CgroupLayout& layout) {
  const auto there = [](const auto& group) { return exists(group.second); };
  const bool known = !layout.unified.empty() || !layout.v1.empty();
  return known && (layout.unified.empty() || exists(layout.unified)) && std::ranges::all_of(layout.v1, there);
}

/// No task is without limits: one that names none for its memory gets nine tenths of the host's, so that the kernel
/// kills in it and not among its neighbours, and one that names none for its open files what systemd gives to services.
void add_default_limits(SandboxSpec& sandbox) {
  struct sysinfo host {};
  if (sandbox.limits.memory == 0 && ::sysinfo(&host) == 0)
    sandbox.limits.memory = std::uint64_t{host.totalram} * host.mem_unit / 10 * 9;
  const auto is_files = [](const Rlimit& limit) { return limit.resource == RLIMIT_NOFILE; };
  rlimit ours{};
  if (std::ranges::any_of(sandbox.rlimits, is_files) || ::getrlimit(RLIMIT_NOFILE, &ours) != 0) return;
  constexpr std::uint64_t kSoftFiles = 1024, kHardFiles = 524'288;
  const std::uint64_t hard = std::min<std::uint64_t>(ours.rlim_max, kHardFiles);  // to raise it needs CAP_SYS_RESOURCE
  sandbox.rlimits.push_back({RLIMIT_NOFILE, std::min(kSoftFiles, hard), hard});
}

/// A node that the task asks for must be one, on this host.
Result<void> check_devices(const std::vector<DeviceRule>& devices) {
  for (const DeviceRule& rule : devices) {
    struct stat info {};
    if (::stat(rule.path.c_str(), &info) != 0) return fail_errno("find device " + rule.path);
    if (!S_ISCHR(info.st_mode) && !S_ISBLK(info.st_mode)) return fail(rule.path + " is no device");
  }
  return {};
}

/// What would otherwise be told only when the container is made.
Result<void> check_mounts(const RunnerSpec& spec) {
  if (spec.sandbox.binds.empty() && spec.sandbox.tmpfs.empty()) return {};
  RootSpec root;
  root.sandbox_folder = spec.run_folder + "/sandbox";
  root.log_folder = spec.run_folder + "/.logs";
  root.binds = spec.sandbox.binds;
  root.tmpfs = spec.sandbox.tmpfs;
  root.image = !spec.sandbox.root.path.empty();
  return check_mount_points(look_at_host_root(), root);
}

/// Limits whose meaning only this host knows.
Result<void> settle_limits(Limits& limits, const std::string& folder) {
  const IoLimits& io = limits.io;
  if (io.read_bps + io.write_bps + io.read_iops + io.write_iops > 0) limits.io.device = DEWAR_TRY(disk_below(folder));
  if (limits.cpuset.empty()) return {};
  return check_cpuset(limits.cpuset, DEWAR_TRY(read_file("/sys/devices/system/cpu/online")));
}

/// What depends on this host and this version of Dewar, not on the task: also made anew when a task is taken over.
Result<void> fill_in_host(RunnerSpec& spec, const RunRequest& request) {
  (void)make_room_for_inotify();  // without it some tasks run, and dewar doctor tells how many
  if (!is_there(spec.cgroups)) spec.cgroups = DEWAR_TRY(prepare_host_cgroups(kCgroupName, request.cgroup));
  DEWAR_TRY(check_kept_capabilities(spec.sandbox));
  spec.capabilities = DEWAR_TRY(parse_capabilities(spec.sandbox.keep_capabilities));
  // A profile file is read once: what becomes of it later is not a running task's business.
  const bool has_file_filter = spec.sandbox.seccomp.starts_with('/') && !spec.seccomp.empty();
  if (!has_file_filter) spec.seccomp = DEWAR_TRY(compile_seccomp(spec.sandbox.seccomp, spec.capabilities));
  spec.launcher = DEWAR_TRY(find_own_program("dewar-launch"));
  if (std::ranges::any_of(spec.plan.processes, [](const ProcessSpec& process) { return !process.fetch.empty(); }))
    spec.fetcher = DEWAR_TRY(find_own_program("dewar-fetch"));
  const auto rotates = [&](const ProcessSpec& process) {
    const LogPolicy& policy = process.logger.value_or(spec.plan.logger);
    return policy.mode == LogMode::kRotate && policy.compress;
  };
  if (std::ranges::any_of(spec.plan.processes, rotates))
    spec.compressor = DEWAR_TRY(find_own_program("dewar-compress"));
  spec.log_quota = request.log_quota;
  if (spec.sandbox.enforce_ports && spec.cgroups.unified.empty())
    return fail(
        "enforce_ports needs cgroup2, which this host does not mount; it can be mounted beside v1's controllers");
  DEWAR_TRY(check_devices(spec.sandbox.devices));
  return settle_limits(spec.sandbox.limits, parent_of(parent_of(spec.run_folder)));
}

/// Where a new run lies, and what it is called on the host.
struct NewRun {
  std::string container_id, folder;
};

Result<NewRun> name_run(const std::string& runs_folder) {
  std::string id = DEWAR_TRY(read_file("/proc/sys/kernel/random/uuid"));
  id.pop_back();
  return NewRun{id, runs_folder + "/" + id};
}

Result<RunnerSpec> make_spec(const TaskSpec& task, const RunRequest& request, const std::string& user,
                             const NewRun& run, const Ports& ports) {
  RunnerSpec spec;
  spec.user = DEWAR_TRY(look_up_user(user));
  char hostname[256] = "localhost";
  ::gethostname(hostname, sizeof hostname - 1);
  spec.hostname = hostname;
  spec.ports = resolved_ports(task, ports);
  const TaskSpec bound = DEWAR_TRY(bind(task, {request.task_id, user, spec.hostname, request.instance, spec.ports}));
  spec.task_id = request.task_id;
  spec.task_name = bound.name;
  spec.plan = {bound.processes,         bound.constraints, bound.max_failures, bound.max_concurrency,
               bound.finalization_wait, bound.time_limit,  bound.logger};
  spec.task_json = task_json(bound);
  spec.source = source_of(task, user);
  spec.required_ports = task.ports;
  if (bound.health_check && (bound.health_check->shell_command || spec.ports.contains("health")))
    spec.health = bound.health_check;
  spec.sandbox = bound.sandbox;
  add_default_limits(spec.sandbox);
  spec.container_id = run.container_id;
  spec.run_folder = run.folder;
  if (spec.sandbox.network == Network::kBridge)
    spec.network = DEWAR_TRY(prepare_bridge(spec.ports, spec.run_folder, spec.sandbox));
  const char* path = std::getenv("PATH");
  spec.path = path != nullptr && *path != '\0' ? path : kDefaultPath;
  if (request.preserve_environment)
    for (char** entry = environ; *entry != nullptr; ++entry) spec.preserved_environment.emplace_back(*entry);
  DEWAR_TRY(fill_in_host(spec, request));
  return spec;
}

/// What dewar-fetch is told of each process that fetches: nothing of it changes from run to run.
Result<void> write_fetch_requests(const RunnerSpec& spec) {
  if (spec.fetcher.empty()) return {};
  const char* config = std::getenv("DEWAR_FETCH_CONFIG");
  const std::string folder = spec.run_folder + "/fetch";
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return fail_errno("make folder " + folder);
  for (const ProcessSpec& process : spec.plan.processes) {
    if (process.fetch.empty()) continue;
    FetchRequest request;
    request.name = process.name;
    request.folder = spec.run_folder + "/sandbox";
    request.status_file = fetch_file(spec.run_folder, process.name, "status");
    if (config != nullptr) request.config = config;
    request.uid = spec.user.uid, request.gid = spec.user.gid, request.groups = spec.user.groups;
    request.loopback = spec.sandbox.network == Network::kHost;  // such a task can reach it by itself
    request.artifacts = process.fetch;
    DEWAR_TRY(replace_file(fetch_file(spec.run_folder, process.name, "request"), encode_fetch_request(request), 0600));
  }
  return {};
}

/// Puts what the task may write to under a quota, where the file system has one. Where it has none, the runner counts
/// (thermos/runner/disk_watch.h); it finds out by itself.
Result<void> limit_disk(const RunnerSpec& spec) {
  const DiskLimits& limits = spec.sandbox.disk;
  if (limits.bytes == 0 && limits.inodes == 0) return {};
  auto quota = ProjectQuota::claim(disk_folders(spec), limits);
  if (!quota && quota.error().code != std::errc::not_supported) return Failure{quota.error()};
  return {};
}

/// The folders of one run. Only root passes through the run folder; the sandbox is the task user's own, the logs are
/// shown in it through a link and cannot be changed from there.
Result<void> make_run_folder(RunnerSpec& spec) {
  const std::string& run = spec.run_folder;
  DEWAR_TRY(make_dirs(parent_of(run)));
  if (::mkdir(run.c_str(), 0700) != 0) return fail_errno("make folder " + run);
  for (const char* name : {"/sandbox", "/attempts"})
    if (::mkdir((run + name).c_str(), 0700) != 0) return fail_errno("make folder " + run + name);
  for (const char* name : {"/.logs", "/rootfs", "/checkpoints"})
    if (::mkdir((run + name).c_str(), 0755) != 0) return fail_errno("make folder " + run + name);
  if (spec.sandbox.root.writable && ::mkdir((run + "/layer").c_str(), 0700) != 0)
    return fail_errno("make folder " + run + "/layer");
  DEWAR_TRY(reserve_task_ids(spec));
  DEWAR_TRY(limit_disk(spec));
  const std::string sandbox = run + "/sandbox";
  if (::symlink("../.logs", (sandbox + "/.logs").c_str()) != 0) return fail_errno("link " + sandbox + "/.logs");
  if (::chown(sandbox.c_str(), spec.user.uid, spec.user.gid) != 0)
    return fail_errno("give " + sandbox + " to user '" + spec.user.name + "'");
  DEWAR_TRY(write_fetch_requests(spec));
  if (spec.sandbox.network == Network::kBridge) DEWAR_TRY(write_bridge_files(run));
  return replace_file(run + "/runner.spec", encode_runner_spec(spec), 0600);
}

/// The first run of a task is its only one: another start takes it over.
Result<void> point_latest_at(const std::string& runs_folder, const std::string& name) {
  const std::string link = runs_folder + "/latest";
  if (::symlink(name.c_str(), link.c_str()) != 0) return fail_errno("link " + link);
  return {};
}

Result<PreparedRun> take_over(const std::string& run_folder, const TaskSpec& task, const RunRequest& request) {
  RunnerSpec spec = DEWAR_TRY(read_runner_spec(run_folder));
  const std::string before = encode_runner_spec(spec);
  const std::string user = !request.user.empty() ? request.user : !task.user.empty() ? task.user : kDefaultUser;
  if (spec.source != source_of(task, user))
    return fail(std::errc::file_exists, "task '" + request.task_id + "' was run from another file in " +
                                            request.work_dir + "; choose another --task-id or --work-dir");
  for (const auto& [name, port] : request.ports)
    if (!spec.ports.contains(name) || spec.ports.at(name) != port)
      return fail(std::errc::file_exists, "task '" + request.task_id + "' was given another port '" + name + "'");
  DEWAR_TRY(fill_in_host(spec, request));
  const std::string now = encode_runner_spec(spec);
  DEWAR_TRY(write_fetch_requests(spec));
  if (now != before) DEWAR_TRY(replace_file(run_folder + "/runner.spec", now, 0600));
  return PreparedRun{std::move(spec), true};
}

}  // namespace

Result<void> check_task_id(const std::string& task_id) {
  const bool plain = std::ranges::all_of(task_id, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  });
  if (task_id.empty() || task_id.size() > 200 || !plain || task_id[0] == '.' || task_id[0] == '-')
    return fail("'" + task_id +
                "' is not a task id: use letters, digits, '_', '-' and '.', at most 200, and begin with a "
                "letter, a digit or '_'");
  return {};
}

std::string default_task_id(const std::string& task_name, double unix_seconds) {
  std::string id = task_name.substr(0, 150);
  for (char& c : id)
    if (!check_task_id(std::string("x") + c)) c = '-';
  if (!check_task_id(id)) id.insert(0, "task");
  const auto micros = static_cast<std::int64_t>(unix_seconds * 1e6);
  const std::time_t seconds = micros / 1000000;
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  char date[64];
  const std::size_t size = std::strftime(date, sizeof date, "-%Y%m%d-%H%M%S.", &utc);
  const std::string fraction = std::to_string(1000000 + micros % 1000000).substr(1);
  return id + std::string(date, size) + fraction;
}

Result<std::string> find_run_folder(const std::string& work_dir, const std::string& task_id) {
  const std::string runs = executor_folder(work_dir, task_id) + "/runs";
  char name[256];
  const ssize_t size = ::readlink((runs + "/latest").c_str(), name, sizeof name);
  if (size < 0) return fail_errno("find a run of task '" + task_id + "' in " + work_dir);
  return runs + "/" + std::string(name, static_cast<std::size_t>(size));
}

Result<PreparedRun> prepare_run(const TaskSpec& task, const RunRequest& request) {
  DEWAR_TRY(check_task_id(request.task_id));
  const std::string executor = executor_folder(request.work_dir, request.task_id);
  DEWAR_TRY(make_dirs(executor));
  const UniqueFd lock = DEWAR_TRY(open_file(executor + "/lock", O_RDWR | O_CREAT));  // until we return
  if (retry_eintr([&] { return ::flock(lock.get(), LOCK_EX); }) != 0) return fail_errno("lock " + executor);
  if (const auto found = find_run_folder(request.work_dir, request.task_id)) return take_over(*found, task, request);

  const std::string user = !request.user.empty() ? request.user : !task.user.empty() ? task.user : kDefaultUser;
  PreparedRun prepared;
  const NewRun run = DEWAR_TRY(name_run(executor + "/runs"));
  const PortReservation reserved = DEWAR_TRY(  // kept until the run folder is there
      PortReservation::allot({task.ports, request.ports, run.container_id, run.folder, request.task_id}));
  prepared.spec = DEWAR_TRY(make_spec(task, request, user, run, reserved.ports()));
  DEWAR_TRY(check_mounts(prepared.spec));
  const bool user_is_default = request.user.empty() && task.user.empty();
  const auto events = DEWAR_TRY(prepare_task_root(prepared.spec, request.work_dir, user_is_default));
  DEWAR_TRY(make_run_folder(prepared.spec));
  for (const EventRecord& event : events) DEWAR_TRY(EventFile(prepared.spec.run_folder).append(event));
  DEWAR_TRY(point_latest_at(executor + "/runs", prepared.spec.container_id));
  return prepared;
}

Result<StartedRunner> start_runner(const RunnerSpec& spec, bool kill) {
  const auto console = [&](const char* name) {
    return open_file(spec.run_folder + "/" + name, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW);
  };
  const UniqueFd out = DEWAR_TRY(console("stdout")), err = DEWAR_TRY(console("stderr"));
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return fail_errno("make a connection");
  StartedRunner started{-1, RunnerClient(UniqueFd(ends[0]))};
  const UniqueFd theirs(ends[1]);
  Spawn runner;
  runner.program = DEWAR_TRY(find_own_program("dewar-runner"));
  runner.argv = {"dewar-runner", "--client", spec.run_folder};
  if (kill) runner.argv.insert(runner.argv.begin() + 1, "--kill");
  runner.env = {std::string("PATH=") + kDefaultPath};
  runner.fds = {-1, out.get(), err.get(), theirs.get()};
  runner.new_session = true;
  UniqueFd group;
  if (!spec.cgroups.unified.empty()) group = DEWAR_TRY(open_supervisors(spec.cgroups));
  runner.cgroup = group.get();
  started.pid = DEWAR_TRY(spawn(runner));
  return started;
}

}  // namespace dewar
