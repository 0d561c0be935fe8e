// What an image's own files say: its shell, its accounts. They are read inside the image, whatever links it has.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <optional>
#include <sstream>

#include "base/files.h"
#include "isolation/image/image.h"
#include "isolation/launch/inside.h"

namespace dewar {
namespace {

bool is_program(int root, const std::string& path) {
  const UniqueFd fd = open_inside(root, path, O_PATH);
  struct stat info {};
  return fd && ::fstat(fd.get(), &info) == 0 && S_ISREG(info.st_mode) && (info.st_mode & 0111) != 0;
}

std::optional<std::uint32_t> number(const std::string& text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || value == ~0u) return {};
  return value;
}

std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> fields;
  std::istringstream stream(line);
  for (std::string field; std::getline(stream, field, ':');) fields.push_back(field);
  return fields;
}

/// The fields of the line of /etc/passwd or /etc/group whose field `column` is `key`.
std::vector<std::string> find_line(int root, const std::string& path, std::size_t column, const std::string& key) {
  const UniqueFd fd = open_inside(root, path, O_RDONLY | O_NONBLOCK);
  const auto text = fd ? read_all(fd.get(), path, 1u << 20) : Result<std::string>(std::string());
  std::istringstream lines(text ? *text : "");
  for (std::string line; std::getline(lines, line);) {
    auto fields = fields_of(line);
    if (fields.size() > column && fields.size() >= 3 && fields[column] == key) return fields;
  }
  return {};
}

}  // namespace

Result<std::string> find_shell(const std::string& image_folder) {
  const UniqueFd root = DEWAR_TRY(open_file(image_folder, O_PATH | O_DIRECTORY));
  for (const std::string shell : {"/bin/bash", "/bin/sh"})
    if (is_program(root.get(), shell)) return shell;
  return fail("root " + image_folder + " has neither /bin/bash nor /bin/sh, and command lines need one");
}

Result<User> look_up_image_user(const std::string& image_folder, const std::string& user) {
  const UniqueFd root = DEWAR_TRY(open_file(image_folder, O_PATH | O_DIRECTORY));
  const std::size_t colon = user.find(':');
  const std::string name = user.substr(0, colon), group = colon == std::string::npos ? "" : user.substr(colon + 1);
  const auto uid = number(name);
  const auto account = find_line(root.get(), "/etc/passwd", uid ? 2 : 0, name);
  User found{account.empty() ? name : account[0], 0, 0, {}};
  if (account.size() < 4 && !uid) return fail("the image runs as '" + name + "', which its /etc/passwd does not know");
  const auto own_uid = account.size() < 4 ? uid : number(account[2]);
  const auto own_gid = account.size() < 4 ? std::optional<std::uint32_t>(0) : number(account[3]);
  if (!own_uid || !own_gid) return fail("the image's /etc/passwd has no numbers for '" + name + "'");
  found.uid = *own_uid;
  found.gid = *own_gid;
  if (group.empty()) return found;
  const auto line = find_line(root.get(), "/etc/group", 0, group);
  const auto gid = number(group) ? number(group) : line.empty() ? std::nullopt : number(line[2]);
  if (!gid) return fail("the image runs in group '" + group + "', which its /etc/group does not know");
  found.gid = *gid;
  return found;
}

}  // namespace dewar
