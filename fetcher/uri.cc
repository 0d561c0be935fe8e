#include "fetcher/uri.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace dewar {
namespace {

std::string lower(std::string_view text) {
  std::string low(text);
  std::ranges::transform(low, low.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return low;
}

/// Where the part behind "scheme://" begins.
std::size_t after_scheme(std::string_view uri) {
  const std::size_t colon = uri.find("://");
  return colon == std::string_view::npos ? 0 : colon + 3;
}

/// Where user and password end, at the '@'; 0 if there are none.
std::size_t end_of_user(std::string_view uri) {
  const std::size_t start = after_scheme(uri);
  if (start == 0) return 0;
  const std::size_t at = uri.substr(0, uri.find_first_of("/?#", start)).rfind('@');
  return at == std::string_view::npos || at < start ? 0 : at + 1;
}

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const int letter = std::tolower(static_cast<unsigned char>(c));
  return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

}  // namespace

std::string scheme_of(std::string_view uri) {
  const std::size_t start = after_scheme(uri);
  return start == 0 ? "file" : lower(uri.substr(0, start - 3));
}

std::string file_path(std::string_view uri) {
  const std::size_t start = after_scheme(uri);
  const std::size_t slash = uri.find('/', start);
  if (slash == std::string_view::npos) return {};
  const std::string_view host = uri.substr(start, slash - start);
  return host.empty() || host == "localhost" ? std::string(uri.substr(slash)) : "";
}

std::string file_name(std::string_view uri) {
  const std::string_view path = uri.substr(0, scheme_of(uri) == "file" ? uri.size() : uri.find_first_of("?#"));
  const std::string_view last = path.substr(path.rfind('/') + 1);
  std::string name;
  for (std::size_t i = 0; i < last.size(); ++i) {
    const bool escape = last[i] == '%' && i + 2 < last.size() && hex(last[i + 1]) >= 0 && hex(last[i + 2]) >= 0;
    name += escape ? static_cast<char>(hex(last[i + 1]) * 16 + hex(last[i + 2])) : last[i];
    if (escape) i += 2;
  }
  const bool odd = std::ranges::any_of(name, [](unsigned char c) { return c < 32 || c == 127 || c == '/'; });
  return name.empty() || odd || name == "." || name == ".." || name.size() > 255 ? "artifact" : name;
}

std::string shown_uri(std::string_view uri) {
  const std::size_t start = after_scheme(uri), user = end_of_user(uri);
  const std::size_t query = uri.find_first_of("?#", start);
  std::string shown(uri.substr(0, start));
  const std::size_t from = std::max(start, user);
  shown += uri.substr(from, query == std::string_view::npos ? query : query - from);
  for (char& c : shown)
    if (static_cast<unsigned char>(c) < 32 || c == 127) c = '?';
  return shown;
}

bool is_archive_name(std::string_view name) {
  constexpr std::array kEndings{".tar",     ".tgz",  ".tar.gz", ".tbz2", ".tbz", ".tar.bz2", ".txz", ".tar.xz",
                                ".tar.zst", ".tzst", ".zip",    ".gz",   ".bz2", ".xz",      ".zst"};
  const std::string low = lower(name);
  return std::ranges::any_of(kEndings, [&](const char* ending) { return low.ends_with(ending); });
}

bool is_private(const Artifact& artifact) {
  const auto secret = [](const std::string& uri) { return end_of_user(uri) > 0 || uri.find('?') != std::string::npos; };
  return !artifact.credential.empty() || !artifact.headers.empty() || secret(artifact.uri) ||
         std::ranges::any_of(artifact.mirrors, secret);
}

}  // namespace dewar
