// http and https. Redirects are followed here and not by libcurl: each hop is looked at, and headers and secrets go to
// no other host than the one they are for.
#include <algorithm>
#include <charconv>
#include <optional>

#include "fetcher/schemes/curl.h"
#include "fetcher/schemes/url.h"
#include "fetcher/uri.h"

namespace dewar {
namespace {

constexpr int kMaxRedirects = 10;

std::string trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc{} || read.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

class HttpRequest final : public CurlRequest {
 public:
  explicit HttpRequest(const TransferContext& context) : CurlRequest(context) {}

  TransferResult get() {
    Url url(context_.order.uri);
    const std::string origin = url.origin();
    for (int hop = 0; !given_up_; ++hop) {
      if (!ask(url, url.origin() == origin)) break;
      const CURLcode code = run();
      if (given_up_) break;
      if (const std::string next = redirect(code); !next.empty()) {
        follow(next, hop, url);
      } else {
        conclude(code);
      }
    }
    if (headers_) curl_slist_free_all(headers_);
    return std::move(result_);
  }

 private:
  /// Sets one hop up. `first_host`: the host that the artifact itself names.
  bool ask(Url& url, bool first_host) {
    if (!url.good()) return finish(TransferEnd::kRefused, "it is no URL that libcurl reads"), false;
    const TransferOrder& order = context_.order;
    const std::string user = url.part(CURLUPART_USER, CURLU_URLDECODE);
    const std::string password = url.part(CURLUPART_PASSWORD, CURLU_URLDECODE);
    url.strip();
    if (!choose_way(url.host())) return false;
    curl_easy_setopt(handle(), CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(handle(), CURLOPT_URL, url.text().c_str());
    curl_easy_setopt(handle(), CURLOPT_USERNAME, nullptr);
    curl_easy_setopt(handle(), CURLOPT_PASSWORD, nullptr);
    curl_slist_free_all(headers_);
    headers_ = nullptr;
    add_header("Accept-Encoding: identity");
    if (first_host) {
      for (const auto& [name, value] : order.headers) add_header(name + ": " + value);
      if (!user.empty()) log_in(user, password);
    }
    if (!add_credential(url)) return false;
    add_conditions();
    curl_easy_setopt(handle(), CURLOPT_HTTPHEADER, headers_);
    forget_answer();
    return true;
  }

  void log_in(const std::string& user, const std::string& password) {
    curl_easy_setopt(handle(), CURLOPT_USERNAME, user.c_str());
    curl_easy_setopt(handle(), CURLOPT_PASSWORD, password.c_str());
  }

  /// To the hosts that the operator's file names, and to no other.
  bool add_credential(const Url& url) {
    const Credential& credential = context_.order.credential;
    if (credential.hosts.empty()) return true;
    const bool named =
        std::ranges::any_of(credential.hosts, [&](auto& host) { return Url::lower(host) == url.host(); });
    if (!named) return true;
    if (url.scheme() != "https" && !credential.plain) {
      finish(TransferEnd::kRefused, "its credential is not sent without TLS; use https, or write 'plain yes' into it");
      return false;
    }
    for (const std::string& header : credential.headers) add_header(header);
    if (!credential.user.empty()) log_in(credential.user, credential.password);
    return true;
  }

  void add_conditions() {
    const TransferOrder& order = context_.order;
    if (order.if_changed) {
      if (!order.etag.empty()) add_header("If-None-Match: " + order.etag);
      if (!order.last_modified.empty()) add_header("If-Modified-Since: " + order.last_modified);
    }
    if (order.offset == 0) return;
    add_header("Range: bytes=" + std::to_string(order.offset) + "-");
    if (!order.etag.empty()) {
      add_header("If-Range: " + order.etag);
    } else if (!order.last_modified.empty()) {
      add_header("If-Range: " + order.last_modified);
    }
  }

  void add_header(const std::string& line) { headers_ = curl_slist_append(headers_, line.c_str()); }

  void forget_answer() {
    status_ = 0;
    length_.reset(), range_start_.reset(), range_total_.reset();
    result_.etag.clear(), result_.last_modified.clear();
  }

  void header(std::string_view line) override {
    if (line.starts_with("HTTP/")) {
      forget_answer();
      const std::size_t blank = line.find(' ');
      if (blank != std::string_view::npos) status_ = static_cast<int>(number(line.substr(blank + 1, 3)).value_or(0));
      return;
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    const std::string name = Url::lower(line.substr(0, colon)), value = trimmed(line.substr(colon + 1));
    if (value.size() > 1000) return;
    if (name == "etag" && !value.starts_with("W/")) result_.etag = value;  // a weak one says nothing about bytes
    if (name == "last-modified") result_.last_modified = value;
    if (name == "content-length") length_ = number(value);
    if (name == "content-range") read_range(value);
  }

  /// "bytes 100-199/200" (RFC 9110, 14.4).
  void read_range(std::string_view value) {
    const std::size_t dash = value.find('-'), slash = value.find('/');
    if (!value.starts_with("bytes ") || dash == std::string_view::npos || slash == std::string_view::npos) return;
    range_start_ = number(value.substr(6, dash - 6));
    range_total_ = number(value.substr(slash + 1));
  }

  bool wanted() override { return status_ == 200 || status_ == 206; }

  bool begin() override {
    const TransferOrder& order = context_.order;
    if (order.offset > 0) {
      const bool same = order.etag.empty() || result_.etag.empty() || order.etag == result_.etag;
      if (status_ != 206 || range_start_ != order.offset || !same) {
        finish(TransferEnd::kRestart,
               status_ == 206 ? "the server has something else now" : "the server ignored the range");
        return false;
      }
      total_ = range_total_.value_or(0);
    } else if (status_ == 206) {
      finish(TransferEnd::kAgain, "the server sent a part that nobody asked for");
      return false;
    } else {
      total_ = length_.value_or(0);
    }
    if (const std::string refusal = size_refusal(order, total_); !refusal.empty()) {
      finish(TransferEnd::kRefused, refusal);
      return false;
    }
    return true;
  }

  std::string redirect(CURLcode code) const {
    if (code != CURLE_OK && code != CURLE_WRITE_ERROR) return {};
    if (status_ != 301 && status_ != 302 && status_ != 303 && status_ != 307 && status_ != 308) return {};
    const char* to = nullptr;
    curl_easy_getinfo(handle(), CURLINFO_REDIRECT_URL, &to);
    return to == nullptr ? "" : to;
  }

  void follow(const std::string& next, int hop, Url& url) {
    Url to(next);
    const std::string where = shown_uri(next);
    if (hop >= kMaxRedirects)
      return finish(TransferEnd::kRefused,
                    "redirected " + std::to_string(kMaxRedirects) + " times, at last to " + where);
    if (!to.good() || (to.scheme() != "http" && to.scheme() != "https"))
      return finish(TransferEnd::kRefused, "redirected to " + where + ", which is neither http nor https");
    if (url.scheme() == "https" && to.scheme() == "http")
      return finish(TransferEnd::kRefused, "redirected from https to " + where + ", which is not protected");
    url = std::move(to);
  }

  void conclude(CURLcode code) {
    if (status_ == 304 && context_.order.if_changed) return finish(TransferEnd::kUnchanged, "");
    if (status_ == 416 && context_.order.offset > 0)
      return finish(TransferEnd::kRestart, "the server has no such range");
    const bool told = status_ != 0 && !wanted() && (code == CURLE_OK || code == CURLE_WRITE_ERROR);
    if (told) return refuse();
    if (code != CURLE_OK) return explain(code);
    // An empty artifact has no first byte that would have called begin().
    if (result_.written == 0 && !begin()) return;
    if (total_ > 0 && context_.order.offset + result_.written != total_) return explain(CURLE_PARTIAL_FILE);
    finish(TransferEnd::kComplete, "");
  }

  void refuse() {
    curl_off_t after = 0;
    curl_easy_getinfo(handle(), CURLINFO_RETRY_AFTER, &after);
    result_.wait_before = std::chrono::seconds(std::clamp<curl_off_t>(after, 0, 60));
    std::string shown;
    for (const char c : body()) {
      const bool blank = static_cast<unsigned char>(c) <= 32 || c == 127;
      if (!blank || !shown.ends_with(' ')) shown += blank ? ' ' : c;
    }
    shown = trimmed(shown);
    if (!shown.empty()) result_.detail = "last body: \"" + shown + "\"";
    // 404 too: what was uploaded a moment ago is not on every server of a store yet.
    const bool again = status_ >= 500 || status_ == 404 || status_ == 408 || status_ == 425 || status_ == 429;
    finish(again ? TransferEnd::kAgain : TransferEnd::kRefused,
           "HTTP " + std::to_string(status_) + (result_.address.empty() ? "" : " from " + result_.address));
  }

  curl_slist* headers_ = nullptr;
  int status_ = 0;
  std::optional<std::uint64_t> length_, range_start_, range_total_;
};

}  // namespace

TransferResult transfer_http(const TransferContext& context) { return HttpRequest(context).get(); }

}  // namespace dewar
