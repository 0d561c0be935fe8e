// Networks by CNI plugins (https://www.cni.dev/docs/spec/, versions 0.4.0 to 1.0.0): programs that join a container's
// network namespace to a network of the host. Whoever prepares a task reads the configuration and writes what each
// plugin is told; nothing here reads JSON.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace dewar {

struct CniPlugin {
  std::string program;  ///< absolute path
  std::string config;   ///< its JSON object, on one line
};

/// A chain of plugins that makes one network interface, eth0.
struct CniNetwork {
  std::string name;
  std::vector<CniPlugin> plugins;  ///< none: no such network
  std::string hosts_file;          ///< shown as the task's /etc/hosts; its address is written there
  std::string warning;             ///< what the person should know, such as that no resolver can be reached
};

/// For whom a plugin works.
struct CniCall {
  std::string command;  ///< "ADD" or "DEL"
  std::string container_id;
  std::string netns;  ///< path of the namespace; empty: it is gone (only for DEL)
  int lock = -1;      ///< a descriptor that the plugin and its children keep open until they have ended
};

/// Runs one plugin to its end, at most a minute. `previous` is the result of the plugin before it, or empty. Returns
/// its own result, a JSON object (DEL: nothing). Errors: what the plugin says, or why it could not be run.
Result<std::string> run_cni_plugin(const CniPlugin& plugin, const CniCall& call, const std::string& previous);

template <class Coder>
void code(Coder& c, CniPlugin& v) {
  c(v.program, v.config);
}
template <class Coder>
void code(Coder& c, CniNetwork& v) {
  c(v.name, v.plugins, v.hosts_file, v.warning);
}

}  // namespace dewar
