// `sandbox:`, which is ours and not Thermos's.
#include <sys/resource.h>

#include <algorithm>
#include <cmath>

#include "base/cpu_list.h"
#include "base/units.h"
#include "isolation/capabilities.h"
#include "isolation/cgroup/knobs.h"
#include "thermos/spec/task_fields.h"

namespace dewar {
namespace {

/// An absolute path without ".", ".." or "//"; a slash at its end is taken away.
bool clean_path(std::string& path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  if (!path.starts_with('/') || path.size() >= 4096) return false;
  const std::string framed = path + "/";
  return framed.find("//") == (path == "/" ? 0 : std::string::npos) && framed.find("/./") == std::string::npos &&
         framed.find("/../") == std::string::npos;
}

constexpr const char* kPath = "an absolute path without '.', '..' or '//'";

/// What the sandbox itself makes, and what nothing may hide.
bool is_reserved(const std::string& path) {
  for (const std::string taken : {"/proc", "/sys", "/dev"}) {
    if (path == taken || path.starts_with(taken + "/")) return true;
  }
  return path == "/";
}

bool is_target(Reading& reading, const Node& node, std::string& path) {
  if (!clean_path(path)) return reading.wrong(node, kPath);
  if (!is_reserved(path)) return true;
  reading.complain(node.place, quoted(path) + " is made by the sandbox itself and cannot be covered");
  return false;
}

void read_binds(Reading& reading, const Node& node, SandboxSpec& out) {
  if (!reading.is_list(node)) return;
  for (const Node& item : node.items) {
    Bind bind;
    if (!reading.text(item, bind.source)) continue;
    const std::size_t colon = bind.source.find(':');
    bind.target = bind.source.substr(colon == std::string::npos ? 0 : colon + 1);
    if (colon != std::string::npos) bind.source.resize(colon);
    if (!clean_path(bind.source)) {
      reading.wrong(item, "'/host/path' or '/host/path:/inside/path', absolute and without '.', '..' or '//'");
    } else if (is_target(reading, item, bind.target)) {
      const bool twice =
          std::any_of(out.binds.begin(), out.binds.end(), [&](auto& b) { return b.target == bind.target; });
      if (twice) reading.complain(item.place, quoted(bind.target) + " is bound twice");
      out.binds.push_back(std::move(bind));
    }
  }
}

Tmpfs& tmpfs_at(SandboxSpec& sandbox, const std::string& target) {
  for (Tmpfs& fs : sandbox.tmpfs) {
    if (fs.target == target) return fs;
  }
  return sandbox.tmpfs.emplace_back(Tmpfs{target, 0, 0});
}

constexpr std::uint64_t kPage = 4096;

constexpr Field<Tmpfs> kTmpfsFields[] = {
    {"size", [](Reading& r, const Node& n, Tmpfs& fs) { r.bytes(n, fs.size, kPage); }},
    {"inodes", whole_field<&Tmpfs::inodes, 1>},
};

void read_tmpfs(Reading& reading, const Node& node, SandboxSpec& out) {
  if (!reading.is_map(node)) return;
  for (const Node& item : node.items) {
    std::string target = item.key;
    // Shared memory is the one file system of the sandbox's own whose size is the task's business.
    if (target != "/dev/shm" && !is_target(reading, item, target)) continue;
    Tmpfs& fs = tmpfs_at(out, target);
    if (item.kind == Node::Kind::kMap) {
      reading.fields(item, kTmpfsFields, fs);
    } else if (item.kind != Node::Kind::kNull) {
      reading.bytes(item, fs.size, kPage);
    }
  }
}

void read_environment(Reading& reading, const Node& node, SandboxSpec& out) {
  if (!reading.is_map(node)) return;
  const auto is_letter = [](unsigned char c) { return std::isalpha(c) || c == '_'; };
  for (const Node& item : node.items) {
    const bool ok =
        !item.key.empty() && is_letter(static_cast<unsigned char>(item.key[0])) &&
        std::all_of(item.key.begin(), item.key.end(), [&](unsigned char c) { return is_letter(c) || std::isdigit(c); });
    if (!ok) reading.complain(item.key_place, quoted(item.key) + " is no name for a variable: letters, digits and '_'");
    std::string value;
    if (item.kind != Node::Kind::kNull && !reading.text(item, value)) continue;
    if (ok) out.environment[item.key] = std::move(value);
  }
}

// rlimits ------------------------------------------------------------------------------------------------------------

/// setrlimit(2), in lower case and without "RLIMIT_".
constexpr std::pair<std::string_view, int> kRlimits[] = {
    {"as", RLIMIT_AS},           {"core", RLIMIT_CORE},         {"cpu", RLIMIT_CPU},
    {"data", RLIMIT_DATA},       {"fsize", RLIMIT_FSIZE},       {"locks", RLIMIT_LOCKS},
    {"memlock", RLIMIT_MEMLOCK}, {"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE},
    {"nofile", RLIMIT_NOFILE},   {"nproc", RLIMIT_NPROC},       {"rss", RLIMIT_RSS},
    {"rtprio", RLIMIT_RTPRIO},   {"rttime", RLIMIT_RTTIME},     {"sigpending", RLIMIT_SIGPENDING},
    {"stack", RLIMIT_STACK},
};

bool read_limit(Reading& reading, const Node& node, std::uint64_t& out) {
  std::string word;
  if (node.kind == Node::Kind::kText && reading.text(node, word) && word == "unlimited") {
    out = ~std::uint64_t{0};
    return true;
  }
  return reading.bytes(node, out);
}

void read_rlimits(Reading& reading, const Node& node, SandboxSpec& out) {
  if (!reading.is_map(node)) return;
  for (const Node& item : node.items) {
    const auto* known =
        std::find_if(std::begin(kRlimits), std::end(kRlimits), [&](auto& r) { return r.first == item.key; });
    if (known == std::end(kRlimits)) {
      std::vector<std::string> names;
      for (const auto& [name, number] : kRlimits) names.emplace_back(name);
      reading.complain(item.key_place, "unknown limit " + quoted(item.key) + reading.scope.guess(item.key, names));
      continue;
    }
    Rlimit limit{known->second, 0, 0};
    if (item.kind != Node::Kind::kList) {
      if (!read_limit(reading, item, limit.soft)) continue;
      limit.hard = limit.soft;
    } else if (item.items.size() != 2) {
      reading.wrong(item, "one limit, or [soft, hard]");
      continue;
    } else if (!read_limit(reading, item.items[0], limit.soft) || !read_limit(reading, item.items[1], limit.hard)) {
      continue;
    }
    if (limit.soft > limit.hard) reading.complain(item.place, label(item) + ": the soft limit is above the hard one");
    out.rlimits.push_back(limit);
  }
}

void read_secrets(Reading& reading, const Node& node, SandboxSpec& out) {
  if (!reading.is_list(node)) return;
  for (const Node& item : node.items) {
    std::string name;
    if (reading.text(item, name)) out.secrets.push_back(std::move(name));
  }
}

void read_capabilities(Reading& reading, const Node& node, SandboxSpec& out) {
  if (!reading.is_list(node)) return;
  for (const Node& item : node.items) {
    std::string name;
    if (!reading.text(item, name)) continue;
    if (const auto bits = parse_capabilities({name}); !bits) reading.complain(item.place, bits.error().message());
    out.keep_capabilities.push_back(std::move(name));
  }
}

constexpr Field<RootImage> kRootFields[] = {
    {"path",
     [](Reading& r, const Node& n, RootImage& root) {
       if (r.text(n, root.path) && !clean_path(root.path)) r.wrong(n, kPath);
     }},
    {"tag", text_field<&RootImage::tag>},
    {"writable", truth_field<&RootImage::writable>},
};

/// A path alone, or a map with what else there is to say of it. `host` is what a task has that says nothing.
void read_root(Reading& reading, const Node& node, SandboxSpec& out) {
  RootImage& root = out.root;
  if (node.kind == Node::Kind::kMap) {
    reading.fields(node, kRootFields, root);
    if (root.path.empty()) reading.complain(node.place, "'root' has no path: a folder, a tar archive or an OCI layout");
  } else if (reading.text(node, root.path)) {
    if (root.path == "host") {
      root.path.clear();
    } else if (!clean_path(root.path)) {
      reading.wrong(node, std::string("'host', or ") + kPath);
    }
  }
  if (root.path == "/")
    reading.complain(node.place, "'/' is more than any task may see; leave 'root' out for the host's");
}

// limits -------------------------------------------------------------------------------------------------------------

void read_cpuset(Reading& reading, const Node& node, SandboxSpec& out) {
  std::string list;
  if (!reading.text(node, list)) return;
  if (parse_cpu_list(list).empty()) {
    reading.wrong(node, "a list of cores like 0-3,8");
  } else {
    out.limits.cpuset = std::move(list);
  }
}

constexpr std::uint64_t kLeastRate = 4096;  // less than a page a second is a mistake

constexpr Field<IoLimits> kIoFields[] = {
    {"weight", whole_field<&IoLimits::weight, 1, 10000>},
    {"read_bps", [](Reading& r, const Node& n, IoLimits& io) { r.bytes(n, io.read_bps, kLeastRate); }},
    {"write_bps", [](Reading& r, const Node& n, IoLimits& io) { r.bytes(n, io.write_bps, kLeastRate); }},
    {"read_iops", whole_field<&IoLimits::read_iops, 1>},
    {"write_iops", whole_field<&IoLimits::write_iops, 1>},
};

void read_hugetlb(Reading& reading, const Node& node, SandboxSpec& out) {
  if (!reading.is_map(node)) return;
  for (const Node& item : node.items) {
    const auto size = parse_bytes(item.key);
    const bool spelled =
        size && *size > 0 && item.key == page_size_name("hugepages-" + std::to_string(*size >> 10) + "kB");
    if (!spelled) {
      reading.complain(item.key_place, quoted(item.key) + " is no size of huge pages, like 2MB or 1GB");
      continue;
    }
    std::uint64_t limit = 0;
    if (!reading.bytes(item, limit, *size)) continue;
    if (limit % *size != 0) reading.complain(item.place, label(item) + " must be a multiple of " + item.key);
    out.limits.hugetlb[item.key] = limit;
  }
}

void read_oom_score_adj(Reading& reading, const Node& node, SandboxSpec& out) {
  double value = 0;
  if (!reading.number(node, value, -1000, 1000)) return;
  if (value != std::floor(value)) {
    reading.wrong(node, "a whole number from -1000 to 1000");
  } else {
    out.oom_score_adj = static_cast<int>(value);
  }
}

// devices ------------------------------------------------------------------------------------------------------------

/// "/dev/kvm", or "/dev/kvm:r".
void read_devices(Reading& reading, const Node& node, SandboxSpec& out) {
  if (!reading.is_list(node)) return;
  for (const Node& item : node.items) {
    DeviceRule rule;
    if (!reading.text(item, rule.path)) continue;
    if (const std::size_t colon = rule.path.find(':'); colon != std::string::npos) {
      rule.access = rule.path.substr(colon + 1);
      rule.path.resize(colon);
    }
    const bool access = rule.access == "r" || rule.access == "w" || rule.access == "rw" || rule.access == "rwm" ||
                        rule.access == "rm" || rule.access == "wm";
    if (!clean_path(rule.path) || !rule.path.starts_with("/dev/") || !access) {
      reading.wrong(item, "'/dev/name', or with ':' and what may be done with it: r, w, rw, and m for mknod");
      continue;
    }
    if (std::ranges::find(out.devices, rule.path, &DeviceRule::path) != out.devices.end())
      reading.complain(item.place, quoted(rule.path) + " is given twice");
    out.devices.push_back(std::move(rule));
  }
}

void read_network(Reading& reading, const Node& node, SandboxSpec& out) {
  reading.choice(node, out.network, {{"host", Network::kHost}, {"none", Network::kNone}, {"bridge", Network::kBridge}});
}

void read_seccomp(Reading& reading, const Node& node, SandboxSpec& out) {
  std::string profile;
  if (!reading.text(node, profile)) return;
  const bool is_name = profile == "default" || profile == "strict" || profile == "unconfined";
  if (!is_name && !clean_path(profile))
    reading.wrong(node, "'default', 'strict', 'unconfined', or the absolute path of a profile file");
  else
    out.seccomp = std::move(profile);
}

constexpr Field<SandboxSpec> kSandboxFields[] = {
    {"network", read_network},
    {"root", read_root},
    {"user_namespace", truth_field<&SandboxSpec::user_namespace>},
    {"landlock", truth_field<&SandboxSpec::landlock>},
    {"enforce_ports", [](Reading& r, const Node& n, SandboxSpec& s) { r.truth(n, s.enforce_ports); }},
    {"deny_speculation", truth_field<&SandboxSpec::deny_speculation>},
    {"binds", read_binds},
    {"tmpfs", read_tmpfs},
    {"environment", read_environment},
    {"secrets", read_secrets},
    {"rlimits", read_rlimits},
    {"pids", [](Reading& r, const Node& n, SandboxSpec& s) { r.whole(n, s.limits.pids, 1); }},
    // The kernel's shortest quota is 1 ms of a 100 ms period.
    {"cpu_quota", [](Reading& r, const Node& n, SandboxSpec& s) { r.number(n, s.limits.cpu_quota, 0.01, 100'000); }},
    {"swap", [](Reading& r, const Node& n, SandboxSpec& s) { r.bytes(n, s.limits.swap); }},
    {"cpuset", read_cpuset},
    {"memory_soft", [](Reading& r, const Node& n, SandboxSpec& s) { r.bytes(n, s.limits.memory_soft, kPage); }},
    {"io", [](Reading& r, const Node& n, SandboxSpec& s) { r.fields(n, kIoFields, s.limits.io); }},
    {"hugetlb", read_hugetlb},
    {"oom_score_adj", read_oom_score_adj},
    {"devices", read_devices},
    {"inodes", [](Reading& r, const Node& n, SandboxSpec& s) { r.whole(n, s.disk.inodes, 1); }},
    {"log_quota", [](Reading& r, const Node& n, SandboxSpec& s) { r.bytes(n, s.disk.logs, 1); }},
    {"capabilities", read_capabilities},
    {"seccomp", read_seccomp},
};

}  // namespace

std::string_view rlimit_name(int resource) {
  const auto* known =
      std::find_if(std::begin(kRlimits), std::end(kRlimits), [&](auto& limit) { return limit.second == resource; });
  return known == std::end(kRlimits) ? "unknown" : known->first;
}

void read_sandbox(Reading& reading, const Node& node, SandboxSpec& out) {
  reading.fields(node, kSandboxFields, out);
  const auto kept =
      std::find_if(node.items.begin(), node.items.end(), [](const Node& item) { return item.key == "capabilities"; });
  if (kept == node.items.end() || !parse_capabilities(out.keep_capabilities)) return;
  if (const auto fine = check_kept_capabilities(out); !fine) reading.complain(kept->place, fine.error().message());
}

}  // namespace dewar
