#include "fetcher/fetch.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <optional>

#include "base/files.h"
#include "base/units.h"
#include "fetcher/cache/cache.h"
#include "fetcher/download.h"
#include "fetcher/place.h"
#include "fetcher/uri.h"

namespace dewar {
namespace {

std::uint64_t room_at(const UniqueFd& folder) {
  struct statvfs info {};
  if (::fstatvfs(folder.get(), &info) != 0) return ~std::uint64_t{0};
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

/// One artifact.
class Fetching {
 public:
  Fetching(const Artifact& artifact, const FetchRequest& request, const FetchConfig& config, const PartUser& user,
           const UniqueFd& sandbox, Cache* cache, Reporter& reporter)
      : artifact_(artifact),
        request_(request),
        config_(config),
        user_(user),
        sandbox_(sandbox),
        reporter_(reporter),
        started_(SystemClock().now()),
        deadline_(started_ + artifact.timeout) {
    name_ = file_name(artifact.uri);
    if (!artifact.output_file.empty()) name_ = artifact.output_file;
    unpack_ = !artifact.executable &&
              (artifact.extract == Unpack::kAlways || (artifact.extract == Unpack::kByName && is_archive_name(name_)));
    const bool wanted = artifact.cache == CacheUse::kYes || (artifact.cache == CacheUse::kWithDigest && has_digest());
    if (wanted && scheme_of(artifact.uri) != "file") cache_ = cache;
    if (is_private(artifact)) owner_.uid = user.uid;
    item_.uri = shown_uri(artifact.uri);
  }

  Result<FetchedItem> run() {
    if (cache_ == nullptr) {
      DEWAR_TRY(fetch_uncached());
    } else if (!DEWAR_TRY(use_cache())) {
      reporter_.wait_for("waits for the same download of another task");
      const CacheLock lock = DEWAR_TRY(cache_->lock(user_.uid, key(), deadline_).context(item_.uri));
      reporter_.wait_for("");
      if (!DEWAR_TRY(use_cache())) DEWAR_TRY(fetch_into_cache());
    }
    item_.seconds = std::chrono::duration<double>(SystemClock().now() - started_).count();
    return std::move(item_);
  }

 private:
  bool has_digest() const { return !artifact_.sha256.empty() || !artifact_.sha512.empty(); }
  /// What makes two downloads the same.
  std::string key() const { return artifact_.uri + "\n" + artifact_.sha256 + "\n" + artifact_.sha512; }
  /// The note of a SHA-512's bytes, which the cache knows by their SHA-256.
  std::string sha512_key() const { return "sha512:" + artifact_.sha512; }

  /// True if the cache had it, and it is in its place.
  Result<bool> use_cache() {
    std::string digest = artifact_.sha256;
    if (digest.empty() && !artifact_.sha512.empty()) {
      if (const auto note = DEWAR_TRY(cache_->note(user_.uid, sha512_key()))) digest = note->sha256;
    }
    if (digest.empty()) return false;
    auto entry = DEWAR_TRY(cache_->find(digest, owner_));
    if (!entry) return false;
    item_.sha256 = digest;
    item_.from = "cache";
    DEWAR_TRY(put(*entry));
    return true;
  }

  Result<void> put(const UniqueFd& entry) {
    struct stat info {};
    if (::fstat(entry.get(), &info) == 0) item_.bytes = static_cast<std::uint64_t>(info.st_size);
    if (unpack_) return unpack(entry);
    const UniqueFd folder = DEWAR_TRY(open_folder_in(user_, sandbox_, folder_of_file()));
    item_.path = name_;
    DEWAR_TRY(place_entry(user_, entry, folder, base_name(), artifact_.executable).context(item_.uri));
    return {};
  }

  Result<void> unpack(const UniqueFd& entry) {
    reporter_.stage(FetchStage::kUnpacking);
    const UniqueFd target = DEWAR_TRY(open_folder_in(user_, sandbox_, artifact_.into));
    const UniqueFd archive =
        DEWAR_TRY(open_file("/proc/self/fd/" + std::to_string(entry.get()), O_RDONLY));  // an offset of its own
    Part part = DEWAR_TRY(start_unpacker(user_, archive.get(), false, target.get(), base_name()));
    const std::string message = DEWAR_TRY(part.receive(deadline_).context(item_.uri + ": unpack"));
    const UnpackerReport report = DEWAR_TRY(decode_unpacker(message));
    if (!report.error.empty()) return fail(item_.uri + ": " + report.error);
    item_.files = report.files;
    item_.path = artifact_.into.empty() ? "." : artifact_.into;
    return {};
  }

  std::string folder_of_file() const {
    const std::size_t slash = name_.rfind('/');
    return slash == std::string::npos ? "" : name_.substr(0, slash);
  }
  std::string base_name() const { return name_.substr(name_.rfind('/') + 1); }

  Result<DownloadOrder> order() {
    DownloadOrder order{.artifact = artifact_, .config = config_, .user = user_, .reporter = reporter_};
    order.deadline = deadline_;
    order.loopback = request_.loopback;
    order.name = base_name();
    if (!artifact_.credential.empty())
      order.credential = DEWAR_TRY(load_credential(config_.credentials, artifact_.credential).context("credential"));
    if (!config_.proxy_credential.empty() && scheme_of(artifact_.uri) != "file")
      order.proxy_credential = DEWAR_TRY(load_proxy_credential(config_));
    return order;
  }

  void note_download(const Downloaded& done) {
    item_.sha256 = done.sha256;
    item_.bytes = done.bytes;
    item_.files = done.files;
    item_.from = done.from;
  }

  Result<void> fetch_uncached() {
    DownloadOrder order = DEWAR_TRY(this->order());
    order.with_keeper = has_digest() || unpack_ || request_.tell_digest;
    if (unpack_) {
      const UniqueFd target = DEWAR_TRY(open_folder_in(user_, sandbox_, artifact_.into));
      order.unpack_into = &target;
      order.room = room_at(target);
      const Downloaded done = DEWAR_TRY(download(order));
      item_.path = artifact_.into.empty() ? "." : artifact_.into;
      note_download(done);
      return {};
    }
    const UniqueFd folder = DEWAR_TRY(open_folder_in(user_, sandbox_, folder_of_file()));
    order.room = room_at(folder);
    order.make_file = [&] { return stage_in(user_, folder); };
    const Downloaded done = DEWAR_TRY(download(order));
    note_download(done);
    item_.path = name_;
    return place_staged(user_, done.file, folder, base_name(), artifact_.executable).context(item_.uri);
  }

  /// Under the lock of this download.
  Result<void> fetch_into_cache() {
    DownloadOrder order = DEWAR_TRY(this->order());
    std::optional<UniqueFd> held;
    if (!has_digest()) {
      if (const auto note = DEWAR_TRY(cache_->note(user_.uid, artifact_.uri))) {
        held = DEWAR_TRY(cache_->find(note->sha256, owner_));
        if (held) order.etag = note->etag, order.last_modified = note->last_modified, item_.sha256 = note->sha256;
      }
    }
    const UniqueFd probe = DEWAR_TRY(cache_->stage());
    order.room = room_at(probe);
    order.make_file = [&] { return cache_->stage(); };
    UniqueFd target;
    if (unpack_) {
      target = DEWAR_TRY(open_folder_in(user_, sandbox_, artifact_.into));
      order.unpack_into = &target;
    }
    const Downloaded done = DEWAR_TRY(download(order));
    if (done.unchanged) {
      if (!held) return fail(item_.uri + ": the server says that nothing has changed, but nothing was asked about");
      item_.from = "cache";
      return put(*held);
    }
    note_download(done);
    DEWAR_TRY(remember(done));
    if (!unpack_) return put(done.file);
    item_.path = artifact_.into.empty() ? "." : artifact_.into;
    return {};
  }

  Result<void> remember(const Downloaded& done) {
    if (!DEWAR_TRY(cache_->keep(done.file, done.sha256, owner_))) return {};
    const CacheNote note{item_.uri, done.sha256, done.etag, done.last_modified, owner_.uid.has_value()};
    DEWAR_TRY(cache_->take_note(user_.uid, artifact_.uri, note));
    if (!artifact_.sha512.empty()) DEWAR_TRY(cache_->take_note(user_.uid, sha512_key(), note));
    return {};
  }

  const Artifact& artifact_;
  const FetchRequest& request_;
  const FetchConfig& config_;
  const PartUser& user_;
  const UniqueFd& sandbox_;
  Cache* cache_ = nullptr;
  Reporter& reporter_;
  const Time started_, deadline_;
  CacheOwner owner_;
  std::string name_;
  bool unpack_ = false;
  FetchedItem item_;
};

std::string line_of(const FetchedItem& item) {
  std::string line = item.uri + ": " + format_bytes(item.bytes);
  if (item.from == "cache") {
    line += " from the cache";
  } else {
    line += " in " + format_seconds(item.seconds);
    if (!item.from.empty()) line += " from " + item.from;
  }
  if (!item.sha256.empty()) line += ", sha256 " + item.sha256;
  line += item.files > 0 ? ", " + std::to_string(item.files) + " files in " + item.path : ", as " + item.path;
  return line;
}

/// A cache is there to help: without one, things are fetched.
std::optional<Cache> open_cache(const FetchRequest& request, const FetchConfig& config, const FetchLog& log) {
  bool wanted = false;
  for (const Artifact& artifact : request.artifacts) {
    const bool digest = !artifact.sha256.empty() || !artifact.sha512.empty();
    wanted = wanted || artifact.cache == CacheUse::kYes || (artifact.cache == CacheUse::kWithDigest && digest);
  }
  if (!wanted || config.cache_size == 0 || ::geteuid() != 0) return std::nullopt;
  auto cache = Cache::open(config.cache_folder, config.cache_size);
  if (cache && !cache->stage()) cache = Failure{std::move(cache->stage()).error()};
  if (cache) return std::move(cache).take();
  log("no cache: " + cache.error().message());
  return std::nullopt;
}

}  // namespace

Result<std::vector<FetchedItem>> fetch(const FetchRequest& request, const FetchConfig& config, std::int32_t run,
                                       const FetchLog& log) {
  PartUser user;
  user.change = ::geteuid() == 0;
  user.uid = user.change ? request.uid : ::geteuid();
  user.gid = user.change ? request.gid : ::getegid();
  user.groups = request.groups;
  Reporter reporter(request.status_file, run, request.artifacts.size());
  std::vector<FetchedItem> items;
  const auto work = [&]() -> Result<void> {
    const UniqueFd sandbox = DEWAR_TRY(open_file(request.folder, O_RDONLY | O_DIRECTORY));
    std::optional<Cache> cache = open_cache(request, config, log);
    for (std::size_t i = 0; i < request.artifacts.size(); ++i) {
      reporter.begin(i, shown_uri(request.artifacts[i].uri));
      Fetching fetching(request.artifacts[i], request, config, user, sandbox, cache ? &*cache : nullptr, reporter);
      items.push_back(DEWAR_TRY(fetching.run()));
      reporter.done(items.back());
      log(line_of(items.back()));
    }
    return {};
  };
  auto done = work();
  reporter.finish(done ? "" : done.error().message());
  if (!done) return Failure{std::move(done).context(request.name).error()};
  return items;
}

}  // namespace dewar
