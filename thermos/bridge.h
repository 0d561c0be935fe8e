// `network: bridge` on this host: the CNI configuration is read, the plugins are found, and what each is told is
// written out, so that the runner needs no JSON.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "isolation/net/cni.h"
#include "isolation/sandbox_spec.h"

namespace dewar {

using Ports = std::map<std::string, std::int64_t>;

/// From the text of a network configuration list (CNI 0.4.0 or 1.0.0). A plugin with the capability `portMappings` is
/// told to lead each of `ports` of the host, TCP and UDP, to the same port of the task. Programs are looked for in
/// `folders`. Errors name `file`, and what does not fit or is not installed.
Result<CniNetwork> read_conflist(const std::string& file, std::string_view text, const Ports& ports,
                                 const std::vector<std::string>& folders);

/// The network that tasks of this host join: the first `/etc/dewar/cni/*.conflist`, or else our own (a bridge with
/// 10.82.0.0/16, addresses from host-local, ports by portmap, a way through the firewall). Also says what is missing on
/// the host, for `dewar doctor`.
Result<CniNetwork> find_bridge(const Ports& ports);

/// What /etc/resolv.conf says in a network of the task's own, where the host's loopback cannot be reached.
struct Resolvers {
  std::string text;
  std::string warning;  ///< none is left
};
/// `host`: the host's /etc/resolv.conf; `upstream`: systemd-resolved's list of the real ones, empty if there is none.
Resolvers choose_resolvers(std::string_view host, std::string_view upstream);

/// Fills in all that a task in a bridge needs; its files below `run_folder` are then made by write_bridge_files().
Result<CniNetwork> prepare_bridge(const Ports& ports, const std::string& run_folder, SandboxSpec& sandbox);
Result<void> write_bridge_files(const std::string& run_folder);

}  // namespace dewar
