#include "fetcher/transfer.h"

#include <algorithm>
#include <vector>

#include "base/units.h"
#include "fetcher/schemes/schemes.h"
#include "fetcher/uri.h"

namespace dewar {

TransferResult transfer(const TransferOrder& order, const FetchConfig& config, int out,
                        const TransferProgress& progress) {
  const TransferContext context{order, config, out, progress};
  const std::string scheme = scheme_of(order.uri);
  TransferResult result;
  if (scheme == "http" || scheme == "https") {
    result = transfer_http(context);
  } else if (scheme == "ftp" || scheme == "ftps") {
    result = transfer_ftp(context);
  } else if (scheme == "file") {
    result = transfer_file(context);
  } else if (config.helpers.contains(scheme)) {
    result = transfer_helper(context);
  } else {
    result.end = TransferEnd::kRefused;
    result.words = "nothing here fetches '" + scheme + "://'; name a 'helper' for it in the host's fetch.conf";
  }
  result.words = without_secrets(std::move(result.words), order);
  result.detail = without_secrets(std::move(result.detail), order);
  return result;
}

std::string size_refusal(const TransferOrder& order, std::uint64_t total) {
  if (total > order.max_size)
    return "it is " + format_bytes(total) + ", more than its max_size of " + format_bytes(order.max_size);
  if (total > order.offset && total - order.offset > order.room)
    return "no space: it is " + format_bytes(total) + ", and " + format_bytes(order.room) + " are free";
  return {};
}

std::string without_secrets(std::string words, const TransferOrder& order) {
  std::vector<std::string> secrets{order.credential.password, order.proxy_credential.password};
  const auto add_header = [&](const std::string& value) {
    secrets.push_back(value);
    secrets.push_back(value.substr(value.rfind(' ') + 1));  // the token behind "Bearer "
  };
  for (const auto& [name, value] : order.headers) add_header(value);
  for (const std::string& header : order.credential.headers) {
    const std::string value = header.substr(header.find(':') + 1);
    add_header(value.substr(std::min(value.find_first_not_of(' '), value.size())));
  }
  const std::string& uri = order.uri;
  if (const std::size_t query = uri.find('?'); query != std::string::npos) {
    secrets.push_back(uri.substr(query + 1));
    for (std::size_t at = query + 1; at < uri.size();) {  // each value of it, too
      const std::size_t end = std::min(uri.find('&', at), uri.size());
      const std::size_t equals = uri.find('=', at);
      if (equals < end) secrets.push_back(uri.substr(equals + 1, end - equals - 1));
      at = end + 1;
    }
  }
  if (const std::size_t colon = uri.find("://"); colon != std::string::npos) {
    const std::string authority = uri.substr(colon + 3, uri.find_first_of("/?#", colon + 3) - colon - 3);
    const std::string user = authority.substr(0, std::min(authority.rfind('@'), authority.size()));
    if (!user.empty() && user.size() < authority.size()) {
      secrets.push_back(user);
      secrets.push_back(user.substr(std::min(user.find(':'), user.size() - 1) + 1));
    }
  }
  std::ranges::sort(secrets, {}, [](const std::string& secret) { return ~secret.size(); });  // the longest first
  for (const std::string& secret : secrets) {
    if (secret.size() < 3) continue;  // would blot out half of the words and says nothing
    for (std::size_t at = words.find(secret); at != std::string::npos; at = words.find(secret, at + 3))
      words.replace(at, secret.size(), "***");
  }
  return words;
}

}  // namespace dewar
