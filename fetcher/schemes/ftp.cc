// ftp and ftps, in binary and passive mode.
#include "fetcher/schemes/curl.h"

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
    const CURLcode code = run();
    if (code == CURLE_OK) {
      finish(TransferEnd::kComplete, "");
    } else if (code == CURLE_BAD_DOWNLOAD_RESUME || code == CURLE_RANGE_ERROR) {
      finish(TransferEnd::kRestart, "the server cannot go on in the middle");
    } else {
      explain(code);
    }
    return std::move(result_);
  }

 private:
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
