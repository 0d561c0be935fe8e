#include "thermos/bridge.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/files.h"
#include "base/json_writer.h"
#include "thermos/spec/node.h"

namespace dewar {
namespace {

constexpr std::string_view kDefaultConflist =
#include "thermos/default_conflist.inc"
    ;
constexpr const char* kOurFolder = "/etc/dewar/cni";
constexpr const char* kPluginFolders[] = {"/usr/lib/cni", "/opt/cni/bin"};

std::string quoted_json(std::string_view text) { return JsonWriter().value(text).take(); }

/// The same value again, on one line.
std::string json_of(const Node& node) {
  const auto list = [&](char open, char close) {
    std::string text(1, open);
    for (const Node& item : node.items) {
      if (text.size() > 1) text += ',';
      if (node.kind == Node::Kind::kMap) text += quoted_json(item.key) + ":";
      text += json_of(item);
    }
    return text + close;
  };
  switch (node.kind) {
    case Node::Kind::kText:
      return node.quoted ? quoted_json(node.text) : node.text;
    case Node::Kind::kList:
      return list('[', ']');
    case Node::Kind::kMap:
      return list('{', '}');
    case Node::Kind::kNull:
      break;
  }
  return "null";
}

/// The non-empty string behind a key that must be there, made of letters, digits, '_', '-' and '.'.
Result<std::string> name_at(const Node& map, const std::string& key) {
  const Node* found = map.find(key);
  const auto plain = [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '-' || c == '.'; };
  if (found == nullptr || !found->quoted || found->text.empty() || found->text[0] == '.' ||
      !std::all_of(found->text.begin(), found->text.end(), plain)) {
    return fail("'" + key + "' must be a name of letters, digits, '_', '-' and '.'");
  }
  return found->text;
}

Result<std::string> find_plugin(const std::string& type, const std::vector<std::string>& folders) {
  std::string places;
  for (const std::string& folder : folders) {
    if (::access((folder + "/" + type).c_str(), X_OK) == 0) return folder + "/" + type;
    places += (places.empty() ? "" : " or ") + folder;
  }
  return fail("the CNI plugin '" + type + "' is not in " + places +
              "; Debian has the usual ones in the package containernetworking-plugins");
}

std::string port_mappings(const Ports& ports) {
  std::string list;
  std::set<std::int64_t> numbers;  // several names may stand for one
  for (const auto& [name, port] : ports) numbers.insert(port);
  for (const std::int64_t port : numbers) {
    const std::string number = std::to_string(port);
    for (const char* protocol : {"tcp", "udp"}) {
      list += (list.empty() ? "" : ",") + ("{\"hostPort\":" + number) + ",\"containerPort\":" + number +
              ",\"protocol\":\"" + protocol + "\"}";
    }
  }
  return "{\"portMappings\":[" + list + "]}";
}

bool maps_ports(const Node& plugin) {
  const Node* capabilities = plugin.find("capabilities");
  const Node* found = capabilities == nullptr ? nullptr : capabilities->find("portMappings");
  return found != nullptr && !found->quoted && found->text == "true";
}

struct ListHead {
  std::string version, name;
};

Result<CniPlugin> read_plugin(const Node& node, const ListHead& head, const Ports& ports,
                              const std::vector<std::string>& folders) {
  if (node.kind != Node::Kind::kMap) return fail("each of 'plugins' must be an object");
  CniPlugin plugin;
  const std::string type = DEWAR_TRY(name_at(node, "type"));
  plugin.program = DEWAR_TRY(find_plugin(type, folders));
  if (const Node* ipam = node.find("ipam"); ipam != nullptr && !ipam->items.empty()) {
    const std::string addresses = DEWAR_TRY(name_at(*ipam, "type").context("ipam"));
    DEWAR_TRY(find_plugin(addresses, {parent_of(plugin.program)}));
  }
  plugin.config = "{\"cniVersion\":" + quoted_json(head.version) + ",\"name\":" + quoted_json(head.name);
  for (const Node& item : node.items) {
    if (item.key == "cniVersion" || item.key == "name" || item.key == "runtimeConfig" || item.key == "prevResult")
      continue;
    plugin.config += "," + quoted_json(item.key) + ":" + json_of(item);
  }
  if (maps_ports(node)) plugin.config += ",\"runtimeConfig\":" + port_mappings(ports);
  plugin.config += "}";
  return plugin;
}

Result<CniNetwork> read_tree(const Node& root, const Ports& ports, const std::vector<std::string>& folders) {
  if (root.kind != Node::Kind::kMap) return fail("must be an object");
  ListHead head;
  head.version = DEWAR_TRY(name_at(root, "cniVersion"));
  head.name = DEWAR_TRY(name_at(root, "name"));
  if (head.version != "0.4.0" && head.version != "1.0.0")
    return fail("'cniVersion' must be 0.4.0 or 1.0.0, found '" + head.version + "'");
  const Node* plugins = root.find("plugins");
  if (plugins == nullptr || plugins->kind != Node::Kind::kList || plugins->items.empty())
    return fail("'plugins' must be a list of at least one plugin");
  CniNetwork network;
  network.name = head.name;
  for (const Node& node : plugins->items) network.plugins.push_back(DEWAR_TRY(read_plugin(node, head, ports, folders)));
  return network;
}

/// iptables is run by the plugins for masquerading, port mapping and the firewall, and is not a dependency of theirs.
Result<void> check_iptables(const CniNetwork& network) {
  const bool needed = std::any_of(network.plugins.begin(), network.plugins.end(), [](const CniPlugin& plugin) {
    return plugin.program.ends_with("/portmap") || plugin.program.ends_with("/firewall") ||
           plugin.config.find("\"ipMasq\":true") != std::string::npos;
  });
  for (const char* folder : {"/usr/sbin", "/sbin", "/usr/local/sbin"})
    if (::access((std::string(folder) + "/iptables").c_str(), X_OK) == 0) return {};
  if (needed) return fail("the network '" + network.name + "' needs iptables(8), which is not installed");
  return {};
}

bool is_loopback(std::string_view address) { return address.starts_with("127.") || address.starts_with("::1"); }

/// The lines of a resolv.conf(5) whose resolver, if they name one, is not on the loopback; and whether any names one.
std::pair<std::string, bool> usable_lines(std::string_view text) {
  std::string kept;
  bool any = false;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.starts_with("nameserver")) {
      std::string_view address = line.substr(std::string_view("nameserver").size());
      address.remove_prefix(std::min(address.find_first_not_of(" \t"), address.size()));
      if (address.empty() || is_loopback(address)) continue;
      any = true;
    }
    kept.append(line) += '\n';
  }
  return {kept, any};
}

std::string text_or_nothing(const char* path) {
  auto text = read_file(path, 1u << 20);
  return text ? std::move(text).take() : "";
}

Resolvers resolvers_of_host() {
  return choose_resolvers(text_or_nothing("/etc/resolv.conf"), text_or_nothing("/run/systemd/resolve/resolv.conf"));
}

}  // namespace

Result<CniNetwork> read_conflist(const std::string& file, std::string_view text, const Ports& ports,
                                 const std::vector<std::string>& folders) {
  const ParsedTree tree = parse_json(text);
  if (!tree.root) {
    const Complaint& wrong = tree.complaints.front();
    return fail(file + ":" + std::to_string(wrong.line) + ":" + std::to_string(wrong.column) + ": " + wrong.message);
  }
  return read_tree(*tree.root, ports, folders).context(file);
}

Result<CniNetwork> find_bridge(const Ports& ports) {
  std::string file = "our own CNI network";
  std::string text(kDefaultConflist);
  const auto names = list_dir(kOurFolder);
  for (const std::string& name : names ? *names : std::vector<std::string>{}) {
    if (!name.ends_with(".conflist")) continue;
    file = std::string(kOurFolder) + "/" + name;
    text = DEWAR_TRY(read_file(file, 1u << 20));
    break;
  }
  CniNetwork network =
      DEWAR_TRY(read_conflist(file, text, ports, {std::begin(kPluginFolders), std::end(kPluginFolders)})
                    .context("network: bridge"));
  DEWAR_TRY(check_iptables(network).context("network: bridge"));
  return network;
}

Resolvers choose_resolvers(std::string_view host, std::string_view upstream) {
  const auto [own, any_own] = usable_lines(host);
  if (any_own) return {own, {}};
  const auto [real, any_real] = usable_lines(upstream);
  if (any_real) return {real, {}};
  return {own,
          "names cannot be resolved: the host's /etc/resolv.conf names no resolver beyond its loopback, which a "
          "bridge does not reach; bind a file over /etc/resolv.conf that names others"};
}

Result<CniNetwork> prepare_bridge(const Ports& ports, const std::string& run_folder, SandboxSpec& sandbox) {
  CniNetwork network = DEWAR_TRY(find_bridge(ports));
  network.hosts_file = run_folder + "/etc/hosts";
  network.warning = resolvers_of_host().warning;
  // First, so that what the task binds itself lies over them.
  sandbox.binds.insert(sandbox.binds.begin(),
                       {{network.hosts_file, "/etc/hosts"}, {run_folder + "/etc/resolv.conf", "/etc/resolv.conf"}});
  return network;
}

Result<void> write_bridge_files(const std::string& run_folder) {
  const std::string folder = run_folder + "/etc";
  if (::mkdir(folder.c_str(), 0755) != 0) return fail_errno("make folder " + folder);
  DEWAR_TRY(replace_file(folder + "/hosts", "127.0.0.1 localhost\n", 0644));
  return replace_file(folder + "/resolv.conf", resolvers_of_host().text, 0644);
}

}  // namespace dewar
