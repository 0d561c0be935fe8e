#include "isolation/seccomp/profile_file.h"

#include <linux/audit.h>
#include <seccomp.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>

#include "isolation/capabilities.h"
#include "isolation/seccomp/table.h"

namespace dewar {
namespace {

using Json = nlohmann::json;
using Path = std::string;

Failure wrong(const Path& path, const std::string& what) { return fail((path.empty() ? "" : path + ": ") + what); }

Result<void> only_keys(const Json& object, const Path& path, const std::set<std::string>& known) {
  if (!object.is_object()) return wrong(path, "a JSON object is expected");
  for (const auto& [key, value] : object.items())
    if (!known.contains(key)) return wrong(path, "unknown key '" + key + "'");
  return {};
}

/// The value of a key; null and a missing key are the same.
const Json* value_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

Result<std::string> text_of(const Json& value, const Path& path) {
  if (!value.is_string()) return wrong(path, "a text is expected");
  return value.get<std::string>();
}

Result<std::uint64_t> number_in(const Json& value, const Path& path, std::uint64_t most) {
  const bool negative = value.is_number_integer() && !value.is_number_unsigned();
  if (!value.is_number_integer() || (negative && value.get<std::int64_t>() < 0) || value.get<std::uint64_t>() > most)
    return wrong(path, "a whole number from 0 to " + std::to_string(most) + " is expected");
  return value.get<std::uint64_t>();
}

Result<std::vector<std::string>> texts_of(const Json& object, const char* key, const Path& path) {
  std::vector<std::string> texts;
  const Json* list = value_of(object, key);
  if (list == nullptr) return texts;
  const Path here = path + key;
  if (!list->is_array()) return wrong(here, "a list is expected");
  for (std::size_t i = 0; i < list->size(); ++i)
    texts.push_back(DEWAR_TRY(text_of((*list)[i], here + "[" + std::to_string(i) + "]")));
  return texts;
}

// Actions ------------------------------------------------------------------------------------------------------------

const std::map<std::string, Action>& actions() {
  static const std::map<std::string, Action> kActions = {{"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW},
                                                         {"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO},
                                                         {"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD},
                                                         {"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS},
                                                         {"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD},
                                                         {"SCMP_ACT_LOG", SECCOMP_RET_LOG},
                                                         {"SCMP_ACT_TRACE", SECCOMP_RET_TRACE},
                                                         {"SCMP_ACT_TRAP", SECCOMP_RET_TRAP}};
  return kActions;
}

Result<Action> read_action(const Json& object, const char* key, const char* errno_key, const Path& path) {
  const Json* value = value_of(object, key);
  if (value == nullptr) return wrong(path + key, "is missing");
  const std::string name = DEWAR_TRY(text_of(*value, path + key));
  const auto found = actions().find(name);
  if (found == actions().end()) {
    std::string known;
    for (const auto& [one, action] : actions()) known += (known.empty() ? "" : ", ") + one;
    return wrong(path + key, "'" + name + "' is not one of " + known);
  }
  std::uint64_t error = EPERM;
  if (const Json* given = value_of(object, errno_key))
    error = DEWAR_TRY(number_in(*given, path + errno_key, 4095));  // MAX_ERRNO: the kernel cuts off there
  const bool takes_errno = found->second == SECCOMP_RET_ERRNO || found->second == SECCOMP_RET_TRACE;
  return takes_errno ? found->second | static_cast<Action>(error) : found->second;
}

// Calls --------------------------------------------------------------------------------------------------------------

/// i386 has two ways to these: its own numbers, and socketcall(2) or ipc(2), which is all that libseccomp tells of.
int direct_i386_number(std::string_view name) {
  constexpr int kFirstSocket = 359, kFirstIpc = 393;
  constexpr std::array<std::string_view, 15> kSocket = {
      "socket",      "socketpair",  "bind",   "connect", "listen",   "accept4", "getsockopt", "setsockopt",
      "getsockname", "getpeername", "sendto", "sendmsg", "recvfrom", "recvmsg", "shutdown"};
  constexpr std::array<std::string_view, 10> kIpc = {"semget", "semctl", "shmget", "shmctl", "shmat",
                                                     "shmdt",  "msgget", "msgsnd", "msgrcv", "msgctl"};
  if (const auto* at = std::ranges::find(kSocket, name); at != kSocket.end())
    return kFirstSocket + static_cast<int>(at - kSocket.begin());
  if (const auto* at = std::ranges::find(kIpc, name); at != kIpc.end())
    return kFirstIpc + static_cast<int>(at - kIpc.begin());
  return -1;
}

struct Machine {
  const char* name;
  std::uint32_t library;  ///< libseccomp's token
};
constexpr Machine kX86_64 = {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64}, kI386 = {"SCMP_ARCH_X86", SCMP_ARCH_X86},
                  kX32 = {"SCMP_ARCH_X32", SCMP_ARCH_X32};
constexpr std::uint32_t kX32Bit = 0x40000000;

/// The number of a call as the filter sees it; none if this machine has no such call.
std::optional<std::uint32_t> number_on(const Machine& machine, const std::string& name) {
  constexpr int kFirstCommon = 424;  // from here on all machines number alike
  const int ours = number_of(name);
  int number = ::seccomp_syscall_resolve_name_arch(machine.library, name.c_str());
  if (machine.library == SCMP_ARCH_X86_64 && ours >= 0) number = ours;
  if (machine.library == SCMP_ARCH_X86 && number < 0) number = direct_i386_number(name);
  if (number < 0 && ours >= kFirstCommon) number = ours;
  if (number < 0) return std::nullopt;
  return static_cast<std::uint32_t>(number) | (machine.library == SCMP_ARCH_X32 ? kX32Bit : 0);
}

bool is_known(const std::string& name) {
  return number_of(name) >= 0 || ::seccomp_syscall_resolve_name(name.c_str()) != __NR_SCMP_ERROR;
}

/// Arguments of which the kernel reads 32 bits. Whoever compares all 64 with a small value ("any family but vsock") is
/// deceived by rubbish in the upper ones.
bool is_32_bits(std::string_view call, int argument) {
  struct Row {
    std::string_view call;
    int first, last;
  };
  constexpr std::array<Row, 11> kRows = {{{"socket", 0, 2},
                                          {"socketpair", 0, 2},
                                          {"ioctl", 0, 1},
                                          {"personality", 0, 0},
                                          {"prctl", 0, 0},
                                          {"fcntl", 0, 1},
                                          {"keyctl", 0, 0},
                                          {"bpf", 0, 0},
                                          {"getsockopt", 0, 2},
                                          {"setsockopt", 0, 2},
                                          {"futex", 1, 1}}};
  return std::ranges::any_of(
      kRows, [&](const Row& row) { return row.call == call && row.first <= argument && argument <= row.last; });
}

/// One entry of `syscalls`.
struct Entry {
  std::vector<std::string> names;
  Action action = 0;
  std::vector<ArgTest> tests;
};

Result<ArgTest> read_test(const Json& value, const Path& path) {
  using Op = ArgTest::Op;
  static const std::map<std::string, Op> kOps = {{"SCMP_CMP_EQ", Op::kEqual},
                                                 {"SCMP_CMP_NE", Op::kNotEqual},
                                                 {"SCMP_CMP_LT", Op::kLess},
                                                 {"SCMP_CMP_LE", Op::kLessOrEqual},
                                                 {"SCMP_CMP_GT", Op::kGreater},
                                                 {"SCMP_CMP_GE", Op::kGreaterOrEqual},
                                                 {"SCMP_CMP_MASKED_EQ", Op::kMaskedEqual}};
  constexpr std::uint64_t kAny = std::numeric_limits<std::uint64_t>::max();
  DEWAR_TRY(only_keys(value, path, {"index", "value", "valueTwo", "op"}));
  for (const char* key : {"index", "value", "op"})
    if (value_of(value, key) == nullptr) return wrong(path + "." + key, "is missing");
  ArgTest test;
  test.argument = static_cast<int>(DEWAR_TRY(number_in(value["index"], path + ".index", 5)));
  test.value = DEWAR_TRY(number_in(value["value"], path + ".value", kAny));
  const std::string op = DEWAR_TRY(text_of(value["op"], path + ".op"));
  const auto found = kOps.find(op);
  if (found == kOps.end())
    return wrong(path + ".op", "'" + op + "' is not SCMP_CMP_ followed by one of EQ, NE, LT, LE, GT, GE, MASKED_EQ");
  test.op = found->second;
  if (test.op == Op::kMaskedEqual) {  // "value" is the mask, "valueTwo" what is left of the argument under it
    test.mask = test.value;
    const Json* second = value_of(value, "valueTwo");
    test.value = second == nullptr ? 0 : DEWAR_TRY(number_in(*second, path + ".valueTwo", kAny));
    if ((test.value & ~test.mask) != 0) return wrong(path + ".valueTwo", "has bits outside the mask in 'value'");
  }
  return test;
}

Result<KernelVersion> read_version(const Json& value, const Path& path) {
  const std::string text = DEWAR_TRY(text_of(value, path));
  char* end = nullptr;
  KernelVersion version;
  version.major = static_cast<int>(std::strtol(text.c_str(), &end, 10));
  if (end == text.c_str() || *end != '.') return wrong(path, "'" + text + "' is no version like '4.8'");
  const char* minor = end + 1;
  version.minor = static_cast<int>(std::strtol(minor, &end, 10));
  if (end == minor || *end != '\0') return wrong(path, "'" + text + "' is no version like '4.8'");
  return version;
}

/// Whether `includes` (all of it must hold) or `excludes` (none of it may) speaks for an entry.
Result<bool> counts(const Json& entry, const Path& path, const ProfileContext& context) {
  for (const bool includes : {true, false}) {
    const char* key = includes ? "includes" : "excludes";
    const Json* value = value_of(entry, key);
    if (value == nullptr) continue;
    const Path here = path + key;
    DEWAR_TRY(only_keys(*value, here, {"caps", "arches", "minKernel"}));
    const auto arches = DEWAR_TRY(texts_of(*value, "arches", here + "."));
    if (!arches.empty() && std::ranges::count(arches, "amd64") != (includes ? 1 : 0)) return false;
    for (const std::string& name : DEWAR_TRY(texts_of(*value, "caps", here + "."))) {
      const auto bit = parse_capabilities({name});
      if (!bit) return wrong(here + ".caps", bit.error().message());
      if (((context.capabilities & *bit) != 0) != includes) return false;
    }
    if (const Json* least = value_of(*value, "minKernel")) {
      const KernelVersion version = DEWAR_TRY(read_version(*least, here + ".minKernel"));
      if ((context.kernel >= version) != includes) return false;
    }
  }
  return true;
}

Result<Entry> read_entry(const Json& value, const Path& path) {
  DEWAR_TRY(only_keys(value, path.substr(0, path.size() - 1),
                      {"name", "names", "action", "errnoRet", "args", "comment", "includes", "excludes"}));
  Entry entry;
  entry.names = DEWAR_TRY(texts_of(value, "names", path));
  if (const Json* one = value_of(value, "name")) entry.names.push_back(DEWAR_TRY(text_of(*one, path + "name")));
  if (entry.names.empty()) return wrong(path + "names", "is missing");
  entry.action = DEWAR_TRY(read_action(value, "action", "errnoRet", path));
  const Json* args = value_of(value, "args");
  if (args == nullptr) return entry;
  if (!args->is_array()) return wrong(path + "args", "a list is expected");
  for (std::size_t i = 0; i < args->size(); ++i)
    entry.tests.push_back(DEWAR_TRY(read_test((*args)[i], path + "args[" + std::to_string(i) + "]")));
  return entry;
}

// The whole file -----------------------------------------------------------------------------------------------------

Result<std::vector<Machine>> read_machines(const Json& root) {
  auto names = DEWAR_TRY(texts_of(root, "architectures", ""));
  if (const Json* map = value_of(root, "archMap")) {
    if (!names.empty()) return wrong("archMap", "stands beside 'architectures'; one of them is enough");
    if (!map->is_array()) return wrong("archMap", "a list is expected");
    for (std::size_t i = 0; i < map->size(); ++i) {
      const Path path = "archMap[" + std::to_string(i) + "]";
      const Json& entry = (*map)[i];
      DEWAR_TRY(only_keys(entry, path, {"architecture", "subArchitectures"}));
      const Json* name = value_of(entry, "architecture");
      if (name == nullptr) return wrong(path + ".architecture", "is missing");
      const auto others = DEWAR_TRY(texts_of(entry, "subArchitectures", path + "."));
      if (DEWAR_TRY(text_of(*name, path + ".architecture")) == kX86_64.name) names = others;
    }
  }
  std::vector<Machine> machines = {kX86_64};
  for (const Machine& other : {kI386, kX32})
    if (std::ranges::find(names, other.name) != names.end()) machines.push_back(other);
  return machines;
}

/// A rule with several tests of one argument holds if any of its tests does (as in runc); otherwise all must hold.
std::vector<std::vector<ArgTest>> alternatives(const std::vector<ArgTest>& tests) {
  std::set<int> arguments;
  for (const ArgTest& test : tests) arguments.insert(test.argument);
  if (arguments.size() == tests.size()) return {tests};
  std::vector<std::vector<ArgTest>> each;
  for (const ArgTest& test : tests) each.push_back({test});
  return each;
}

void add_rules(const Entry& entry, const Machine& machine, std::vector<CallRule>& rules) {
  for (const std::string& name : entry.names) {
    const auto number = number_on(machine, name);
    if (!number) continue;
    for (std::vector<ArgTest> tests : alternatives(entry.tests)) {
      for (ArgTest& test : tests) test.low_half = test.value >> 32 == 0 && is_32_bits(name, test.argument);
      rules.push_back({*number, entry.action, std::move(tests)});
    }
  }
}

Policy make_policy(const std::vector<Entry>& entries, const std::vector<Machine>& machines, Action otherwise) {
  Policy policy{.otherwise = otherwise};
  for (const Machine& machine : machines) {
    if (machine.library != SCMP_ARCH_X32)
      policy.architectures.push_back({.arch = machine.library == SCMP_ARCH_X86 ? AUDIT_ARCH_I386 : AUDIT_ARCH_X86_64});
    ArchRules& arch = machine.library == SCMP_ARCH_X32 ? policy.architectures.front() : policy.architectures.back();
    if (machine.library == SCMP_ARCH_X32) arch.with_x32 = true;
    for (const Entry& entry : entries) add_rules(entry, machine, arch.rules);
    std::stable_partition(arch.rules.begin(), arch.rules.end(),
                          [](const CallRule& rule) { return !rule.tests.empty(); });
  }
  return policy;
}

Result<Policy> read_profile(const Json& root, const ProfileContext& context) {
  DEWAR_TRY(only_keys(root, "",
                      {"defaultAction", "defaultErrnoRet", "architectures", "archMap", "flags", "syscalls",
                       "listenerPath", "listenerMetadata", "comment"}));
  for (const char* key : {"flags", "listenerPath", "listenerMetadata"}) {
    const Json* value = value_of(root, key);
    if (value != nullptr && !value->empty() && *value != Json(std::string())) return wrong(key, "is not supported");
  }
  const Action otherwise = DEWAR_TRY(read_action(root, "defaultAction", "defaultErrnoRet", ""));
  const auto machines = DEWAR_TRY(read_machines(root));
  std::vector<Entry> entries;
  if (const Json* list = value_of(root, "syscalls")) {
    if (!list->is_array()) return wrong("syscalls", "a list is expected");
    for (std::size_t i = 0; i < list->size(); ++i) {
      const Path path = "syscalls[" + std::to_string(i) + "].";
      Entry entry = DEWAR_TRY(read_entry((*list)[i], path));
      if (!DEWAR_TRY(counts((*list)[i], path, context))) continue;
      for (const std::string& name : entry.names) {
        if (entry.action != SECCOMP_RET_ALLOW && !is_known(name))
          return wrong(path + "names", "there is no system call '" + name + "'");
      }
      entries.push_back(std::move(entry));
    }
  }
  return make_policy(entries, machines, otherwise);
}

}  // namespace

KernelVersion running_kernel() {
  utsname name{};
  ::uname(&name);
  KernelVersion version;
  char* end = nullptr;
  version.major = static_cast<int>(std::strtol(name.release, &end, 10));
  if (*end == '.') version.minor = static_cast<int>(std::strtol(end + 1, nullptr, 10));
  return version;
}

Result<Policy> parse_profile(std::string_view text, const ProfileContext& context) try {
  return read_profile(Json::parse(text), context);
} catch (const Json::exception& e) {  // the only place where the library's exceptions end
  return fail(std::string("not JSON: ") + e.what());
}

}  // namespace dewar
