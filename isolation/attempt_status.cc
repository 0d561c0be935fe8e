#include "isolation/attempt_status.h"

#include <cerrno>
#include <system_error>
#include <utility>

#include "base/crc32c.h"
#include "isolation/launch/steps.h"

namespace dewar {
namespace {

constexpr std::size_t kFrameHeader = 8;  // length and CRC of the payload

template <class T>
std::string encode_frame(const T& message) {
  Encoder payload;
  payload(message);
  Encoder header;
  header(static_cast<std::uint32_t>(payload.bytes().size()), crc32c(payload.bytes()));
  return header.take() + payload.take();
}

/// Cuts the first whole frame off `bytes`; nothing if it is torn or damaged.
std::optional<std::string_view> cut_frame(std::string_view& bytes) {
  if (bytes.size() < kFrameHeader) return {};
  std::uint32_t length = 0, crc = 0;
  Decoder header(bytes.substr(0, kFrameHeader));
  header(length, crc);
  if (length > bytes.size() - kFrameHeader) return {};
  const std::string_view payload = bytes.substr(kFrameHeader, length);
  if (crc32c(payload) != crc) return {};
  bytes.remove_prefix(kFrameHeader + length);
  return payload;
}

template <class T>
std::optional<T> decode_payload(std::string_view payload) {
  T message;
  Decoder decoder(payload);
  decoder(message);
  if (!decoder.complete()) return {};
  return message;
}

struct Advice {
  const char* step;
  int error;
  const char* words;
};

constexpr char kNoChoice[] =
    "this host was booted so that it cannot be switched off for one process (mitigations=off?): leave out "
    "deny_speculation";

constexpr Advice kAdvice[] = {
    {step::kReadOnlyProgram, EROFS,
     "dewar-launch must be able to show itself read-only (open_tree(2)): run as root, and not from an unbindable "
     "mount"},
    {step::kClone, EPERM, "making namespaces needs root: run as root"},
    {step::kClone, EAGAIN, "no more processes are allowed here: raise the task's pids limit or the host's"},
    {step::kClone, ENOSPC, "too many nested namespaces: see /proc/sys/user/max_*_namespaces"},
    {step::kJoinCgroup, ENOENT, "the task's cgroup is gone: somebody else removed it"},
    {step::kJoinCgroup, EBUSY, "a cgroup v2 group with controllers for its children cannot hold processes itself"},
    {step::kClone, ENOMEM, "the container has ended, or the host has no memory left"},
    {step::kEnterPidNamespace, ESRCH, "the container has ended"},
    {step::kEnterNamespaces, ESRCH, "the container has ended"},
    {step::kMount, ENOENT, "the host does not have it: leave the mount out of the task file or create it"},
    {step::kMount, EACCES, "run as root, and check that no security module forbids mounting"},
    {step::kMount, EROFS,
     "its place would have to be made in what is shown read-only: make it there on the host, or choose another target"},
    {step::kMount, EPERM, "run as root, and check that no security module forbids mounting"},
    {step::kPivotRoot, EACCES, "run as root, and check that no security module forbids it"},
    {step::kWorkingDirectory, ENOENT, "the folder does not exist inside the container"},
    {step::kWorkingDirectory, EACCES, "the folder cannot be entered"},
    {step::kWorkingDirectory, EXDEV, "the folder leads outside of the container"},
    {step::kWorkingDirectory, ELOOP, "the folder is reached through /proc or in circles, which is not allowed"},
    {step::kRlimit, EPERM,
     "it is above the hard limit that dewar itself runs under: raise that (ulimit -H) or lower it"},
    {step::kOomScore, EACCES, "a score below the host's own needs CAP_SYS_RESOURCE: ask for a higher one"},
    {step::kGroups, EPERM, "changing groups needs root: run as root"},
    {step::kUser, EPERM, "changing the user needs root: run as root"},
    {step::kUser, EAGAIN, "that user has reached its limit of processes (ulimit -u)"},
    {step::kCapabilities, EPERM, "dewar itself does not have that capability, so it cannot pass it on"},
    {step::kSpeculation, ENXIO, kNoChoice},
    {step::kSpeculation, EPERM, kNoChoice},
    {step::kSpeculation, ENODEV, "this kernel cannot switch it off for one process: leave out deny_speculation"},
    {step::kSeccomp, EINVAL, "the filter was refused by this kernel: use seccomp: unconfined to run without one"},
    {step::kExec, ENOENT, "the program, or the interpreter it names, does not exist inside the container"},
    {step::kExec, EACCES, "the program is not executable for this user inside the container"},
    {step::kExec, EAGAIN, "that user has reached its limit of processes (rlimit nproc)"},
    {step::kExec, ENOEXEC, "the file is no program for this machine"},
    {step::kOpenLogs, ENOSPC, "the disk is full: free some space"},
    {step::kStatusFile, EEXIST, "this run was started before: its status file exists already"},
    {step::kStatusFile, ENOSPC, "the disk is full: free some space"},
};

}  // namespace

std::string encode_status(const AttemptStatus& status) { return encode_frame(status); }

std::optional<AttemptStatus> last_status(std::string_view content) {
  std::optional<AttemptStatus> last;
  while (const auto payload = cut_frame(content)) {
    auto status = decode_payload<AttemptStatus>(*payload);
    if (!status || status->stage > AttemptStage::kRefused) break;
    last = std::move(status);
  }
  return last;
}

std::string encode_report(const LaunchReport& report) { return encode_frame(report); }

std::optional<LaunchReport> decode_report(std::string_view bytes) {
  const auto payload = cut_frame(bytes);
  if (!payload || !bytes.empty()) return {};
  return decode_payload<LaunchReport>(*payload);
}

std::string explain_step(const std::string& step, int error, const std::string& detail) {
  std::string words = "step " + step + ": ";
  if (!detail.empty()) words += detail + ": ";
  words += std::generic_category().message(error);
  for (const Advice& advice : kAdvice) {
    if (step == advice.step && error == advice.error) return words + " (" + advice.words + ")";
  }
  return words;
}

}  // namespace dewar
