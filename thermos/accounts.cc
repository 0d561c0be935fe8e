#include "thermos/accounts.h"

#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <vector>

#include "base/files.h"

namespace dewar {
namespace {

/// Takes what stands before the next `separator` off `text`, and that too.
std::string_view next_piece(std::string_view& text, char separator) {
  const std::string_view piece = text.substr(0, text.find(separator));
  text.remove_prefix(std::min(text.size(), piece.size() + 1));
  return piece;
}

using Row = std::array<std::string_view, 4>;

/// The first fields of each line of passwd(5) or group(5).
std::vector<Row> rows_of(std::string_view table) {
  std::vector<Row> rows;
  while (!table.empty()) {
    std::string_view line = next_piece(table, '\n');
    if (line.starts_with('#') || std::ranges::count(line, ':') < 3) continue;
    for (std::string_view& field : rows.emplace_back()) field = next_piece(line, ':');
  }
  return rows;
}

std::optional<std::uint32_t> number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool has_member(std::string_view members, std::string_view user) {
  while (!members.empty())
    if (next_piece(members, ',') == user) return true;
  return false;
}

std::vector<gid_t> groups_by_services(const std::string& user, gid_t own) {
  int count = 64;
  std::vector<gid_t> groups(static_cast<std::size_t>(count));
  if (::getgrouplist(user.c_str(), own, groups.data(), &count) < 0) {
    groups.resize(static_cast<std::size_t>(count));
    ::getgrouplist(user.c_str(), own, groups.data(), &count);
  }
  groups.resize(static_cast<std::size_t>(std::max(count, 0)));
  return groups;
}

}  // namespace

Result<User> look_up_user(const std::string& name) {
  // These two are of the host itself, and the services leave them to its files: systemd's does so by itself, sssd's and
  // ldap's by their configuration. To ask them nevertheless loads their modules, which for a short task is a third of
  // all that `dewar run` does.
  if (name == "nobody" || name == "root")
    if (auto user = user_in_files("/etc", name)) return *std::move(user);
  char buffer[16384];
  passwd entry{}, *found = nullptr;
  const int error = ::getpwnam_r(name.c_str(), &entry, buffer, sizeof buffer, &found);
  if (error != 0) return fail({error, std::generic_category()}, "look up user '" + name + "'");
  if (found == nullptr) return fail("there is no user '" + name + "' on this host");
  return User{name, entry.pw_uid, entry.pw_gid, groups_by_services(name, entry.pw_gid)};
}

std::optional<User> user_in_files(const std::string& folder, const std::string& name) {
  const auto accounts = read_file(folder + "/passwd"), groups = read_file(folder + "/group");
  if (!accounts || !groups) return std::nullopt;
  User user{name, 0, 0, {}};
  for (const auto& [account, password, uid, gid] : rows_of(*accounts)) {
    if (account != name || !number(uid) || !number(gid)) continue;
    user.uid = *number(uid);
    user.gid = *number(gid);
    user.groups = {user.gid};
    break;
  }
  if (user.groups.empty()) return std::nullopt;
  for (const auto& [group, password, gid, members] : rows_of(*groups)) {
    const auto id = number(gid);
    if (id && *id != user.gid && has_member(members, name)) user.groups.push_back(*id);
  }
  return user;
}

}  // namespace dewar
