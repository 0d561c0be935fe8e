#include "fetcher/extract/names.h"

#include <limits.h>

#include <array>

#include "base/utf8.h"

namespace dewar {
namespace {

constexpr std::size_t kShownBytes = 160;

/// Cuts the first component off `rest`; empty between two slashes.
std::string_view take_component(std::string_view& rest) {
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  const std::string_view component = rest.substr(0, slash);
  rest.remove_prefix(std::min(slash + 1, rest.size()));
  return component;
}

}  // namespace

Result<std::string> entry_path(std::string_view name, std::uint32_t depth) {
  if (name.starts_with('/')) return fail("entry " + shown(name) + " has an absolute name");
  std::string path;
  std::uint32_t folders = 0;
  for (std::string_view rest = name; !rest.empty();) {
    const std::string_view component = take_component(rest);
    if (component.empty() || component == ".") continue;
    if (component == "..") return fail("entry " + shown(name) + " has '..' in its name");
    if (!path.empty()) {
      path += '/';
      ++folders;
    }
    path += component;
  }
  if (folders > depth)
    return fail("entry " + shown(name) + " lies " + std::to_string(folders) + " folders deep, the limit is " +
                std::to_string(depth));
  if (path.size() >= PATH_MAX) return fail("entry " + shown(name) + " has a name longer than a path may be");
  return path;
}

bool stays_inside(const std::string& path, std::string_view link_target) {
  if (link_target.empty() || link_target.starts_with('/')) return false;
  std::size_t above = 0;  // folders between the link and the target
  for (const char c : path) above += c == '/';
  bool down = false;
  for (std::string_view rest = link_target; !rest.empty();) {
    const std::string_view component = take_component(rest);
    if (component.empty() || component == ".") continue;
    if (component != "..") {
      down = true;
    } else if (down || above == 0) {
      return false;
    } else {
      --above;
    }
  }
  return true;
}

std::string single_name(std::string_view name) {
  name.remove_prefix(name.rfind('/') + 1);
  constexpr std::array<std::string_view, 4> kSuffixes{".gz", ".bz2", ".xz", ".zst"};
  for (const std::string_view suffix : kSuffixes) {
    if (!name.ends_with(suffix)) continue;
    name.remove_suffix(suffix.size());
    break;
  }
  const bool usable = !name.empty() && name != "." && name != ".." && name.size() <= NAME_MAX &&
                      name.find('\0') == std::string_view::npos;
  return usable ? std::string(name) : "data";
}

std::string shown(std::string_view name) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text = "'";
  const bool cut = name.size() > kShownBytes;
  for (std::string_view rest = name.substr(0, kShownBytes); !rest.empty();) {
    const auto first = static_cast<unsigned char>(rest.front());
    const std::size_t size = utf8_size(rest);
    if (size == 0 || first < 0x20 || first == 0x7f) {
      text += {'\\', 'x', kDigits[first >> 4], kDigits[first & 15]};
      rest.remove_prefix(1);
    } else {
      text += rest.substr(0, size);
      rest.remove_prefix(size);
    }
  }
  return text + (cut ? "...'" : "'");
}

}  // namespace dewar
