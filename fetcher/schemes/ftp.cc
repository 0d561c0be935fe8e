// ftp and ftps, in binary and passive mode.
#include <algorithm>

#include "fetcher/schemes/curl.h"
#include "fetcher/schemes/url.h"
#include "fetcher/uri.h"

namespace dewar {
namespace {

class FtpRequest final : public CurlRequest {
 public:
  explicit FtpRequest(const TransferContext& context) : CurlRequest(context) {}

  TransferResult get() {
    const TransferOrder& order = context_.order;
    curl_easy_setopt(handle(), CURLOPT_PROTOCOLS_STR, "ftp,ftps");
    curl_easy_setopt(handle(), CURLOPT_URL, order.uri.c_str());
    curl_easy_setopt(handle(), CURLOPT_FTP_SKIP_PASV_IP, 1L);  // the data come from where the orders went
    curl_easy_setopt(handle(), CURLOPT_RESUME_FROM_LARGE, static_cast<curl_off_t>(order.offset));
    curl_easy_setopt(handle(), CURLOPT_USE_SSL,
                     scheme_of(order.uri) == "ftps" ? CURLUSESSL_ALL : CURLUSESSL_NONE);  // the data too, or nothing
    curl_easy_setopt(handle(), CURLOPT_FAILONERROR, 1L);  // through a proxy it is HTTP; its page is not the file
    const std::string to = Url(order.uri).host();
    if (to.empty()) finish(TransferEnd::kRefused, "it is no URL that libcurl reads");
    if (given_up_ || !add_credential(to)) return std::move(result_);
    if (!choose_way(to)) return std::move(result_);
    const CURLcode code = run();
    if (code == CURLE_OK) {
      finish(TransferEnd::kComplete, "");
    } else if (code == CURLE_BAD_DOWNLOAD_RESUME || code == CURLE_RANGE_ERROR || code == CURLE_FTP_COULDNT_USE_REST) {
      finish(TransferEnd::kRestart, "the server cannot go on in the middle");
    } else {
      explain(code);
    }
    return std::move(result_);
  }

 private:
  /// To the hosts that the operator's file names, and to no other.
  bool add_credential(const std::string& to) {
    const Credential& credential = context_.order.credential;
    if (credential.user.empty()) return true;
    if (std::ranges::none_of(credential.hosts, [&](auto& one) { return Url::lower(one) == to; })) return true;
    if (scheme_of(context_.order.uri) != "ftps" && !credential.plain) {
      finish(TransferEnd::kRefused, "its credential is not sent without TLS; use ftps, or write 'plain yes' into it");
      return false;
    }
    curl_easy_setopt(handle(), CURLOPT_USERNAME, credential.user.c_str());
    curl_easy_setopt(handle(), CURLOPT_PASSWORD, credential.password.c_str());
    return true;
  }

  bool begin() override {
    curl_off_t size = -1;
    curl_easy_getinfo(handle(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &size);
    if (size > 0) total_ = context_.order.offset + static_cast<std::uint64_t>(size);
    const std::string refusal = size_refusal(context_.order, total_);
    if (refusal.empty()) return true;
    finish(TransferEnd::kRefused, refusal);
    return false;
  }
};

}  // namespace

TransferResult transfer_ftp(const TransferContext& context) { return FtpRequest(context).get(); }

}  // namespace dewar
