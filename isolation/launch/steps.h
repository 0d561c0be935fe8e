// The names of what the launcher does before a program runs. A failing step is told by this name, the errno and what it
// was about, from the innermost child up to the person; explain_step() adds what to do.
#pragma once

namespace dewar::step {

// Of the launcher's outer half.
inline constexpr char kStatusFile[] = "status_file";
inline constexpr char kOpenLogs[] = "open_logs";
inline constexpr char kReadOnlyProgram[] = "read_only_program";
inline constexpr char kPipe[] = "pipe";
inline constexpr char kEnterPidNamespace[] = "enter_pid_namespace";
inline constexpr char kClone[] = "clone";
inline constexpr char kSweep[] = "sweep";  ///< after the end: something in the cgroup does not die

// Of both children.
inline constexpr char kJoinCgroup[] = "join_cgroup";
inline constexpr char kCapabilities[] = "capabilities";
inline constexpr char kUserNamespace[] = "user_namespace";
inline constexpr char kNoNewPrivileges[] = "no_new_privs";
inline constexpr char kHide[] = "hide";

// Of a container's PID 1, in order.
inline constexpr char kPidNamespace[] = "pid_namespace";
inline constexpr char kCgroupNamespace[] = "cgroup_namespace";
inline constexpr char kPrivateMounts[] = "private_mounts";
inline constexpr char kRoot[] = "root";
inline constexpr char kImage[] = "image";
inline constexpr char kMount[] = "mount";
inline constexpr char kPivotRoot[] = "pivot_root";
inline constexpr char kReadOnlyRoot[] = "read_only_root";
inline constexpr char kHostname[] = "hostname";
inline constexpr char kLoopback[] = "loopback";

// Of an attempt, in order.
inline constexpr char kOomScore[] = "oom_score_adj";
inline constexpr char kSession[] = "session";
inline constexpr char kEnterNamespaces[] = "enter_namespaces";
inline constexpr char kWorkingDirectory[] = "working_directory";
inline constexpr char kRlimit[] = "rlimit";
inline constexpr char kKeyring[] = "keyring";
inline constexpr char kDescriptors[] = "descriptors";
inline constexpr char kGroups[] = "groups";
inline constexpr char kUser[] = "user";
inline constexpr char kSpeculation[] = "speculation";
inline constexpr char kLandlock[] = "landlock";
inline constexpr char kSeccomp[] = "seccomp";
inline constexpr char kExec[] = "exec";

}  // namespace dewar::step
