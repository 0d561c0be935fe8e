#include "fetcher/schemes/curl.h"

#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "base/files.h"
#include "base/units.h"
#include "fetcher/schemes/url.h"

namespace dewar {
namespace {

constexpr std::size_t kBodyShown = 200;
constexpr std::size_t kBlock = 512u << 10;
constexpr auto kProgressPause = std::chrono::milliseconds(100);

Time now() { return SystemClock().now(); }

long milliseconds(Duration span) {
  return static_cast<long>(
      std::max<std::int64_t>(1, std::chrono::duration_cast<std::chrono::milliseconds>(span).count()));
}

/// `no_proxy` as curl takes it: '*', names that stand for all below them too, addresses, ranges.
bool goes_past_proxy(std::string host, std::string_view no_proxy) {
  if (host.starts_with('[')) host = host.substr(1, host.find(']') - 1);
  if (host.ends_with('.')) host.pop_back();
  const auto ends_as = [&](std::string_view name) {
    return host.size() >= name.size() &&
           ::strncasecmp(host.data() + host.size() - name.size(), name.data(), name.size()) == 0 &&
           (host.size() == name.size() || host[host.size() - name.size() - 1] == '.');
  };
  while (!no_proxy.empty()) {
    const std::size_t end = std::min(no_proxy.find_first_of(", \t"), no_proxy.size());
    std::string_view entry = no_proxy.substr(0, end);
    no_proxy.remove_prefix(std::min(end + 1, no_proxy.size()));
    if (entry == "*" || is_address_in(host, entry)) return true;
    if (entry.starts_with('.')) entry.remove_prefix(1);
    if (entry.ends_with('.')) entry.remove_suffix(1);
    if (!entry.empty() && ends_as(entry)) return true;
  }
  return false;
}

}  // namespace

CurlRequest::CurlRequest(const TransferContext& context) : context_(context), handle_(curl_easy_init()) {
  gathered_.reserve(kBlock);
  CURL* curl = handle();
  const FetchConfig& config = context.config;
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, words_);
  curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, static_cast<long>(kBlock));
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "dewar-fetch");
  curl_easy_setopt(curl, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(config.connect_timeout));
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, milliseconds(context.order.timeout));
  curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);  // they are the proxy's, not the artifact's
  if (!config.ca_bundle.empty()) {
    curl_easy_setopt(curl, CURLOPT_CAINFO, config.ca_bundle.c_str());
    curl_easy_setopt(curl, CURLOPT_CAPATH, nullptr);
  }
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, this);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, on_socket);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, this);
}

/// Decided here and not by libcurl, so that on_socket() knows whose address it is asked about.
bool CurlRequest::choose_way(std::string host) {
  const FetchConfig& config = context_.config;
  through_proxy_ = !config.proxy.empty() && !goes_past_proxy(std::move(host), config.no_proxy);
  // "" also: nothing from the environment.
  curl_easy_setopt(handle(), CURLOPT_PROXY, through_proxy_ ? config.proxy.c_str() : "");
  curl_easy_setopt(handle(), CURLOPT_NOPROXY, "");
  return !through_proxy_ || log_in_at_proxy();
}

/// With the operator's own credential, as far as its file says that the proxy may have it. It goes to no server.
bool CurlRequest::log_in_at_proxy() {
  const Credential& login = context_.order.proxy_credential;
  if (login.user.empty()) return true;
  const std::string& proxy = context_.config.proxy;
  const Url url(proxy.find("://") == std::string::npos ? "http://" + proxy : proxy, CURLU_NON_SUPPORT_SCHEME);
  if (std::ranges::none_of(login.hosts, [&](auto& host) { return Url::lower(host) == url.host(); })) {
    finish(TransferEnd::kRefused, "the proxy_credential names other hosts than the proxy");
    return false;
  }
  if (url.scheme() != "https" && !login.plain) {
    finish(TransferEnd::kRefused, "the proxy_credential is not sent without TLS; write 'plain yes' into it");
    return false;
  }
  curl_easy_setopt(handle(), CURLOPT_PROXYUSERNAME, login.user.c_str());
  curl_easy_setopt(handle(), CURLOPT_PROXYPASSWORD, login.password.c_str());
  return true;
}

CURLcode CurlRequest::run() {
  started_ = window_start_ = now();
  answered_ = false;
  other_body_.clear();
  words_[0] = '\0';
  const CURLcode code = curl_easy_perform(handle());
  pass_on();
  const char* address = nullptr;
  if (curl_easy_getinfo(handle(), CURLINFO_PRIMARY_IP, &address) == CURLE_OK && address != nullptr && *address != '\0')
    result_.address = address;
  return code;
}

void CurlRequest::finish(TransferEnd end, std::string words) {
  if (given_up_) return;
  given_up_ = true;
  result_.end = end;
  result_.words = std::move(words);
}

bool CurlRequest::deliver(std::string_view bytes) {
  const std::uint64_t so_far = context_.order.offset + result_.written + bytes.size();
  if (const std::string refusal = size_refusal(context_.order, so_far); !refusal.empty())
    return finish(TransferEnd::kRefused, refusal), false;
  if (gathered_.size() + bytes.size() > kBlock && !pass_on()) return false;
  gathered_ += bytes;
  result_.written += bytes.size();
  return true;
}

bool CurlRequest::pass_on() {
  const Time before = now();
  const auto written = write_all(context_.out, gathered_, "what came");
  gathered_.clear();
  window_start_ += now() - before;  // that the disk is slow is not the server's fault
  if (!written) finish(TransferEnd::kRefused, written.error().message());
  return bool(written);
}

std::size_t CurlRequest::on_header(char* data, std::size_t size, std::size_t count, void* self) {
  auto& request = *static_cast<CurlRequest*>(self);
  request.answered_ = true;
  request.header({data, size * count});
  return size * count;
}

std::size_t CurlRequest::on_body(char* data, std::size_t size, std::size_t count, void* self) {
  auto& request = *static_cast<CurlRequest*>(self);
  const std::string_view bytes(data, size * count);
  request.answered_ = true;
  if (!request.wanted()) {
    const std::size_t room = kBodyShown - std::min(kBodyShown, request.other_body_.size());
    request.other_body_ += bytes.substr(0, room);
    return room == 0 ? 0 : bytes.size();  // an endless error page is not read to its end
  }
  if (!request.begun_) {
    request.begun_ = true;
    if (!request.begin()) return 0;
  }
  return request.deliver(bytes) ? bytes.size() : 0;
}

/// False once nothing came in time, or too little for too long.
bool CurlRequest::keeps_pace() {
  const Time at = now();
  const FetchConfig& config = context_.config;
  if (!answered_ && at - started_ > config.connect_timeout + config.first_byte_timeout) {
    finish(TransferEnd::kAgain, "no answer within " + format_duration(config.first_byte_timeout));
    return false;
  }
  const double span = std::chrono::duration<double>(at - window_start_).count();
  if (!answered_ || at - window_start_ < config.stall_timeout) return true;
  const auto came = static_cast<double>(result_.written - window_bytes_);
  if (came < static_cast<double>(config.stall_rate) * span) {
    finish(TransferEnd::kAgain, "stalled after " + format_bytes(context_.order.offset + result_.written) +
                                    ": less than " + format_bytes(config.stall_rate) + "/s for " +
                                    format_duration(config.stall_timeout));
    return false;
  }
  window_start_ = at;
  window_bytes_ = result_.written;
  return true;
}

int CurlRequest::on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto& request = *static_cast<CurlRequest*>(self);
  if (const Time at = now(); at - request.told_ >= kProgressPause) {
    request.told_ = at;
    request.context_.progress(request.context_.order.offset + request.result_.written, request.total_);
  }
  return request.keeps_pace() ? 0 : 1;
}

/// The address is the one that is connected to, so nothing can change between this look and the connection.
curl_socket_t CurlRequest::on_socket(void* self, curlsocktype, curl_sockaddr* address) {
  auto& request = *static_cast<CurlRequest*>(self);
  const FetchConfig& config = request.context_.config;
  // A proxy is the operator's own choice; where it connects to is its own affair.
  if (!request.through_proxy_) {
    std::string refusal = address_refusal(address->addr, config.rules, request.context_.order.loopback);
    if (!refusal.empty()) {
      request.address_refusal_ = std::move(refusal);
      return CURL_SOCKET_BAD;
    }
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

void CurlRequest::explain(CURLcode code) {
  if (given_up_) return;
  if (!address_refusal_.empty() && code == CURLE_COULDNT_CONNECT)
    return finish(TransferEnd::kRefused, address_refusal_ + "; see 'Addresses' in docs/fetcher.md");
  long proxy_said = 0;
  curl_easy_getinfo(handle(), CURLINFO_HTTP_CONNECTCODE, &proxy_said);
  if (proxy_said != 0 && proxy_said / 100 != 2)
    return finish(
        proxy_said >= 500 || proxy_said == 408 || proxy_said == 429 ? TransferEnd::kAgain : TransferEnd::kRefused,
        "the proxy answered HTTP " + std::to_string(proxy_said));
  const std::string words = words_[0] != '\0' ? words_ : curl_easy_strerror(code);
  switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_REMOTE_ACCESS_DENIED:
    case CURLE_LOGIN_DENIED:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_PEER_FAILED_VERIFICATION:
      return finish(TransferEnd::kRefused, words);
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2_STREAM:
      return finish(TransferEnd::kAgain, "the connection ended after " +
                                             format_bytes(context_.order.offset + result_.written) +
                                             (total_ > 0 ? " of " + format_bytes(total_) : "") + " (" + words + ")");
    default:
      return finish(TransferEnd::kAgain, words);
  }
}

}  // namespace dewar
