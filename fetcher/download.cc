#include "fetcher/download.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <random>

#include "base/files.h"
#include "base/pipe.h"
#include "base/units.h"
#include "fetcher/uri.h"

namespace dewar {
namespace {

constexpr int kPipeSize = 1 << 20;
constexpr int kMaxRestarts = 3;

Time now() { return SystemClock().now(); }

Result<Pipe> make_wide_pipe() {
  Pipe pipe = DEWAR_TRY(make_pipe());
  ::fcntl(pipe.writer.get(), F_SETPIPE_SZ, kPipeSize);  // the usual size works too, slower
  return pipe;
}

/// Root's own fetches use the network as nobody: no part that reads it is ever root.
PartUser network_user(const PartUser& user, const std::string& uri) {
  constexpr uid_t kNobody = 65534;
  if (!user.change || user.uid != 0 || scheme_of(uri) == "file") return user;
  return {true, kNobody, kNobody, {}};
}

/// Where the bytes of one beginning go: through the keeper into the file and to the unpacker.
class Pipeline {
 public:
  static Result<Pipeline> start(const DownloadOrder& order) {
    Pipeline made;
    if (order.make_file) made.file_ = DEWAR_TRY(order.make_file());
    if (!order.with_keeper) return made;
    Pipe data = DEWAR_TRY(make_wide_pipe()), onward;
    if (order.unpack_into != nullptr) {
      onward = DEWAR_TRY(make_wide_pipe());
      made.unpacker_ =
          DEWAR_TRY(start_unpacker(order.user, onward.reader.get(), true, order.unpack_into->get(), order.name));
    }
    made.keeper_ = DEWAR_TRY(start_keeper(network_user(order.user, order.artifact.uri), data.reader.get(),
                                          made.file_.get(), onward.writer.get(), !order.artifact.sha512.empty()));
    made.input_ = std::move(data.writer);
    return made;
  }

  /// What a transfer writes to.
  int input() const { return keeper_ ? input_.get() : file_.get(); }

  /// The transfer is over: what the keeper makes of the bytes.
  Result<KeeperReport> close(Time deadline) {
    input_.reset();
    if (!keeper_) return KeeperReport{};
    return decode_keeper(DEWAR_TRY(keeper_->receive(deadline)));
  }

  /// The bytes are the right ones: the unpacker may show what it has made of them.
  Result<UnpackerReport> commit(Time deadline) {
    if (!unpacker_) return UnpackerReport{};
    (void)unpacker_->send("c");  // one that has failed has said why
    return decode_unpacker(DEWAR_TRY(unpacker_->receive(deadline)));
  }

  /// Why an unpacker has stopped reading, if it has.
  std::string early_complaint() {
    if (!unpacker_) return {};
    pollfd input{unpacker_->channel(), POLLIN, 0};
    if (::poll(&input, 1, 0) <= 0) return {};
    const auto message = unpacker_->receive(now());
    const auto report = message ? decode_unpacker(*message) : Result<UnpackerReport>(fail("the unpacker died"));
    return report ? report->error : report.error().message();
  }
  /// The same, once the keeper has told that nobody takes the bytes any more.
  std::string complaint(Time deadline) {
    if (!unpacker_) return {};
    const auto message = unpacker_->receive(std::min(deadline, now() + std::chrono::seconds(10)));
    const auto report = message ? decode_unpacker(*message) : Result<UnpackerReport>(fail("the unpacker died"));
    return report ? report->error : report.error().message();
  }

  UniqueFd take_file() { return std::move(file_); }

 private:
  UniqueFd file_, input_;
  std::optional<Part> unpacker_, keeper_;
};

/// One artifact's way to its bytes.
class Tries {
 public:
  explicit Tries(const DownloadOrder& order) : order_(order) {
    uris_.push_back(order.artifact.uri);
    uris_.insert(uris_.end(), order.artifact.mirrors.begin(), order.artifact.mirrors.end());
    refused_.resize(uris_.size());
    tried_.resize(uris_.size());
    last_.resize(uris_.size());
  }

  Result<Downloaded> run() {
    for (std::uint64_t round = 0; round < order_.config.tries; ++round) {
      for (std::size_t i = 0; i < uris_.size(); ++i) {
        if (refused_[i]) continue;
        if (auto done = DEWAR_TRY(try_uri(i))) return std::move(*done);
        if (now() >= order_.deadline) return told();
      }
    }
    return told();
  }

 private:
  using Maybe = std::optional<Downloaded>;

  /// Tries one URI, again as long as each try has brought more of it.
  Result<Maybe> try_uri(std::size_t i) {
    begin_anew();
    int restarts = 0;
    for (std::uint64_t more = 0; more <= order_.config.tries; ++more) {
      if (!pause()) return Maybe();
      const TransferResult result = DEWAR_TRY(one_try(i));
      ++tried_[i];
      if (result.end != TransferEnd::kRestart) last_[i] = result;
      switch (result.end) {
        case TransferEnd::kUnchanged:
          return Maybe(Downloaded{.unchanged = true, .from = result.address});
        case TransferEnd::kComplete:
          if (auto done = DEWAR_TRY(conclude(i, result))) return done;
          return Maybe();
        case TransferEnd::kRestart:
          begin_anew();
          if (++restarts > kMaxRestarts) return Maybe();
          wait_ = {};
          break;
        case TransferEnd::kRefused:
          refused_[i] = true;
          return Maybe();
        case TransferEnd::kAgain:
          if (result.written == 0 || !can_resume(result)) return Maybe();
          keep_place(result);
          break;
      }
    }
    return Maybe();
  }

  void begin_anew() {
    pipeline_.reset();
    offset_ = 0;
    etag_.clear(), last_modified_.clear();
  }

  bool can_resume(const TransferResult& result) const {
    const std::string scheme = scheme_of(uri_now_);
    const bool validator = !result.etag.empty() || !result.last_modified.empty();
    return (scheme.starts_with("http") && (validator || has_digest())) || (scheme.starts_with("ftp") && has_digest());
  }
  bool has_digest() const { return !order_.artifact.sha256.empty() || !order_.artifact.sha512.empty(); }

  void keep_place(const TransferResult& result) {
    offset_ += result.written;
    etag_ = result.etag;
    last_modified_ = result.last_modified;
  }

  /// Waits before every try but the first: longer each time, and never the same for two who began together. False: the
  /// time is over.
  bool pause() {
    if (first_) {
      first_ = false;
      wait_ = order_.config.backoff;
      return true;
    }
    const double factor = std::uniform_real_distribution<double>(0.5, 1.5)(random_);
    Duration span = std::chrono::duration_cast<Duration>(wait_ * factor);
    span = std::max(span, server_wait_);
    wait_ = std::min<Duration>(std::max(wait_ * 2, order_.config.backoff), std::chrono::seconds(30));
    if (now() + span >= order_.deadline) return false;
    order_.reporter.wait_for(server_words_);
    ::poll(nullptr, 0, static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(span).count()));
    return true;
  }

  TransferOrder transfer_order(std::size_t i) {
    TransferOrder transfer;
    transfer.uri = uri_now_ = uris_[i];
    transfer.offset = offset_;
    transfer.if_changed = offset_ == 0 && (!order_.etag.empty() || !order_.last_modified.empty());
    transfer.etag = transfer.if_changed ? order_.etag : etag_;
    transfer.last_modified = transfer.if_changed ? order_.last_modified : last_modified_;
    transfer.headers = order_.artifact.headers;
    transfer.credential = order_.credential;
    transfer.proxy_credential = order_.proxy_credential;
    transfer.max_size = order_.artifact.max_size;
    transfer.room = order_.room;
    transfer.timeout = order_.deadline - now();
    transfer.loopback = order_.loopback;
    return transfer;
  }

  /// Errors are only what no other try could mend.
  Result<TransferResult> one_try(std::size_t i) {
    if (!pipeline_) pipeline_ = DEWAR_TRY(Pipeline::start(order_));
    Part part = DEWAR_TRY(
        start_transfer(network_user(order_.user, uris_[i]), transfer_order(i), order_.config, pipeline_->input()));
    TransferResult result;
    for (;;) {
      // It keeps the time itself; should it not, it is ended.
      const auto message = part.receive(order_.deadline + std::chrono::seconds(5));
      if (!message) {
        result.words = message.error().code == std::errc::timed_out ? "the transfer hung" : "the transfer died";
        break;
      }
      auto told = decode_transfer(*message);
      if (!told) {
        result.end = TransferEnd::kRefused;
        result.words = told.error().message();
        break;
      }
      if (told->result) {
        result = *told->result;
        break;
      }
      order_.reporter.progress(told->bytes, told->total);
    }
    server_wait_ = result.wait_before;
    server_words_ = result.words.empty() ? "" : "trying again after: " + result.words;
    if (const std::string words = pipeline_->early_complaint(); !words.empty()) {
      result.end = TransferEnd::kRefused;
      result.words = words;
      result.detail.clear();
    }
    return result;
  }

  /// All bytes are said to have come. Nothing: they are not the right ones.
  Result<Maybe> conclude(std::size_t i, const TransferResult& result) {
    const auto wrong = [&](std::string words, bool for_good) {
      last_[i].words = std::move(words);
      last_[i].detail.clear();
      refused_[i] = for_good;
      begin_anew();
      return Maybe();
    };
    const auto kept = pipeline_->close(order_.deadline);
    if (!kept) return wrong(kept.error().message(), false);
    if (!kept->error.empty()) {
      const std::string why = pipeline_->complaint(order_.deadline);
      return wrong(why.empty() ? kept->error : why, true);
    }
    const Artifact& artifact = order_.artifact;
    for (const auto& [name, is, wanted] :
         {std::tuple{"sha256", kept->sha256, artifact.sha256}, std::tuple{"sha512", kept->sha512, artifact.sha512}}) {
      if (!wanted.empty() && is != wanted)
        return wrong(std::string("its ") + name + " is " + is + ", not " + wanted, false);
    }
    if (order_.unpack_into != nullptr) order_.reporter.stage(FetchStage::kUnpacking);
    const auto unpacked = pipeline_->commit(order_.deadline);
    if (!unpacked) return wrong("unpack: " + unpacked.error().message(), true);
    if (!unpacked->error.empty()) return wrong(unpacked->error, true);
    Downloaded done;
    done.file = pipeline_->take_file();
    done.sha256 = kept->sha256, done.sha512 = kept->sha512;
    done.bytes = order_.with_keeper ? kept->bytes : offset_ + result.written;
    done.files = unpacked->files;
    done.etag = result.etag, done.last_modified = result.last_modified, done.from = result.address;
    return Maybe(std::move(done));
  }

  Failure told() const {
    std::string words;
    for (std::size_t i = 0; i < uris_.size(); ++i) {
      if (tried_[i] == 0) continue;
      const TransferResult& last = last_[i];
      words += (words.empty() ? "" : "; ") + shown_uri(uris_[i]) + ": " + last.words;
      if (tried_[i] > 1) words += " after " + std::to_string(tried_[i]) + " tries";
      if (!last.detail.empty()) words += " (" + last.detail + ")";
    }
    if (now() >= order_.deadline)
      words += (words.empty() ? shown_uri(uris_[0]) + ": " : "; ") + std::string("its timeout of ") +
               format_duration(order_.artifact.timeout) + " is over";
    return fail(std::move(words));
  }

  const DownloadOrder& order_;
  std::vector<std::string> uris_;
  std::vector<bool> refused_;
  std::vector<int> tried_;
  std::vector<TransferResult> last_;
  std::optional<Pipeline> pipeline_;
  std::string uri_now_, etag_, last_modified_, server_words_;
  std::uint64_t offset_ = 0;
  Duration wait_{}, server_wait_{};
  bool first_ = true;
  std::mt19937_64 random_{std::random_device{}()};
};

}  // namespace

Result<Downloaded> download(const DownloadOrder& order) { return Tries(order).run(); }

}  // namespace dewar
