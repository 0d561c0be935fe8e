// A task as its author wrote it, checked and with every default filled in. Immutable after reading. The fields and
// their defaults are Thermos's (docs/task-file.md); `sandbox` and `ports` are ours.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "fetcher/artifact.h"
#include "isolation/launch_info.h"
#include "isolation/sandbox_spec.h"

namespace dewar {

struct ProcessSpec {
  std::string name;
  std::string cmdline;                              ///< the argument of /bin/bash -c
  std::uint32_t max_failures = 1;                   ///< failed runs until the process has failed for good; 0: never
  bool daemon = false;                              ///< runs again after exit 0
  bool ephemeral = false;                           ///< the task does not wait for it
  bool final = false;                               ///< runs after the regular processes, in the finalizing plan
  Duration min_duration = std::chrono::seconds(5);  ///< from the end of one run to the start of the next
  Duration time_limit{};                            ///< of each run, which then is FAILED; 0: none
  std::optional<LogPolicy> logger;                  ///< overrides the task's policy
  std::vector<Artifact> fetch;                      ///< not empty: it runs dewar-fetch on these, not `cmdline`
};

/// Each process waits for the one before it in the list.
using Order = std::vector<std::string>;

struct Resources {
  double cpu = 0;          ///< cores
  std::uint64_t ram = 0;   ///< bytes
  std::uint64_t disk = 0;  ///< bytes
  std::uint32_t gpu = 0;
};

struct HttpCheck {
  std::string endpoint = "/health", expected_response = "ok";
  std::uint32_t expected_response_code = 0;  ///< 0: any
};

struct HealthCheck {
  HttpCheck http;
  std::optional<std::string> shell_command;  ///< wins over http
  Duration initial_interval = std::chrono::seconds(15), interval = std::chrono::seconds(10),
           timeout = std::chrono::seconds(1);
  std::uint32_t max_consecutive_failures = 0, min_consecutive_successes = 1;
};

struct HttpLifecycle {
  std::string port = "health", graceful_shutdown_endpoint = "/quitquitquit", shutdown_endpoint = "/abortabortabort";
  Duration graceful_shutdown_wait = std::chrono::seconds(5), shutdown_wait = std::chrono::seconds(5);
};

struct Announce {
  std::string primary_port = "http";
  std::map<std::string, std::string> portmap{{"aurora", "http"}};  ///< name -> another name or a number, resolved
  std::string zk_path;
};

struct TaskSpec {
  std::string name;
  std::vector<ProcessSpec> processes;
  std::vector<Order> constraints;
  std::optional<Resources> resources;
  std::uint32_t max_failures = 1;     ///< failed processes until the task has failed; 0: never on count
  std::uint32_t max_concurrency = 0;  ///< processes running at once, per plan; 0: no cap
  Duration finalization_wait = std::chrono::seconds(30);
  Duration time_limit{};           ///< of the whole task, which then is FAILED; 0: none
  std::string user;                ///< empty: the caller decides
  LogPolicy logger;                ///< for processes without one of their own
  std::vector<std::string> ports;  ///< names that need a number: named in `ports:` or referenced, sorted
  SandboxSpec sandbox;             ///< `limits.cpu` and `limits.memory` come from `resources`
  std::optional<HealthCheck> health_check;
  std::optional<HttpLifecycle> lifecycle;
  std::optional<Announce> announce;
  std::string role, environment, job, cluster;  ///< of an Aurora job; empty for a bare task
  std::uint32_t instance = 0;
};

template <class Coder>
void code(Coder& c, ProcessSpec& v) {
  c(v.name, v.cmdline, v.max_failures, v.daemon, v.ephemeral, v.final, v.min_duration, v.time_limit, v.logger, v.fetch);
}
template <class Coder>
void code(Coder& c, HttpCheck& v) {
  c(v.endpoint, v.expected_response, v.expected_response_code);
}
template <class Coder>
void code(Coder& c, HealthCheck& v) {
  c(v.http, v.shell_command, v.initial_interval, v.interval, v.timeout, v.max_consecutive_failures,
    v.min_consecutive_successes);
}

}  // namespace dewar
