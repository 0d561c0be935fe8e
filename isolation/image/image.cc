#include "isolation/image/image.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <functional>
#include <memory>

#include "base/digest.h"
#include "base/encoding.h"
#include "base/files.h"

namespace dewar {
namespace {

constexpr std::size_t kMostJson = 4u << 20;
constexpr int kMostIndexes = 4;  // an index may name an index

using Fill = std::function<Result<Unpacked>(const std::string& folder)>;

Result<std::string> real_path(const std::string& path) {
  const std::unique_ptr<char, decltype(&::free)> real(::realpath(path.c_str(), nullptr), ::free);
  if (real == nullptr) return fail_errno("find");
  return std::string(real.get());
}

/// As Go and with it OCI spell what uname(2) tells.
std::string architecture() {
  utsname host{};
  ::uname(&host);
  const std::string machine = host.machine;
  return machine == "x86_64" ? "amd64" : machine == "aarch64" ? "arm64" : machine;
}

/// The image's folder in the store, filled by `fill` if nobody has done so before.
Result<Image> store_image(const std::string& store, const std::string& digest, const ImageConfig& config,
                          const Fill& fill) {
  Image image{store + "/" + digest + "/rootfs", digest, config};
  image.folder.replace(store.size() + 1, 7, "sha256-");
  const std::string place = parent_of(image.folder), temporary = place + ".new";
  DEWAR_TRY(make_dirs(store, 0700));
  // The lock goes with whoever holds it, so what lies in `temporary` once we have it is a dead one's.
  const UniqueFd lock = DEWAR_TRY(open_file(place + ".lock", O_RDWR | O_CREAT, 0600));
  if (retry_eintr([&] { return ::flock(lock.get(), LOCK_EX); }) != 0) return fail_errno("lock " + place);
  if (exists(place)) return image;
  DEWAR_TRY(remove_tree(temporary));
  DEWAR_TRY(make_dirs(temporary + "/rootfs", 0755));
  auto filled = fill(temporary + "/rootfs");
  if (!filled) {
    (void)remove_tree(temporary);
    return Failure{std::move(filled).error()};
  }
  // What has the final name is whole, also after a power cut.
  const UniqueFd folder = DEWAR_TRY(open_file(temporary, O_RDONLY | O_DIRECTORY));
  if (::syncfs(folder.get()) != 0) return fail_errno("sync " + temporary);
  if (::rename(temporary.c_str(), place.c_str()) != 0) return fail_errno("rename " + temporary);
  image.unpacked = true;
  image.count = filled->count;
  return image;
}

// A tar archive -------------------------------------------------------------------------------------------------------

/// A file's digest is remembered by what changes whenever its content does (the change time cannot be set), so that
/// later runs need not read it.
std::string identity_of(const struct stat& info) {
  const auto number = [](auto value) { return "-" + std::to_string(value); };
  return "file" + number(info.st_dev) + number(info.st_ino) + number(info.st_size) + number(info.st_ctim.tv_sec) +
         number(info.st_ctim.tv_nsec);
}

Result<Image> prepare_archive(const UniqueFd& archive, const struct stat& info, const std::string& store,
                              const UnpackLimits& limits) {
  const std::string known = store + "/" + identity_of(info);
  std::string digest;
  if (auto remembered = read_file(known, 100)) digest = std::move(remembered).take();
  const bool was_known = !digest.empty();
  if (!was_known) digest = "sha256:" + DEWAR_TRY(sha256_of_file(archive.get(), "it"));
  const Fill fill = [&](const std::string& folder) -> Result<Unpacked> {
    Unpacked done = DEWAR_TRY(unpack_layer({archive, "the archive", false}, folder, limits, {}));
    if ("sha256:" + done.sha256 != digest) return fail("it was changed while it was read");
    return done;
  };
  Image image = DEWAR_TRY(store_image(store, digest, {}, fill));
  if (was_known) return image;
  // Others may remember the same at this moment, in a temporary file of the same name.
  const UniqueFd lock = DEWAR_TRY(open_file(known + ".lock", O_RDWR | O_CREAT, 0600));
  if (retry_eintr([&] { return ::flock(lock.get(), LOCK_EX); }) != 0) return fail_errno("lock " + known);
  DEWAR_TRY(replace_file(known, digest, 0600));
  return image;
}

// An OCI image layout -------------------------------------------------------------------------------------------------

Result<UniqueFd> open_blob(const std::string& layout, const OciBlob& blob) {
  const std::string path = layout + "/blobs/sha256/" + blob.digest.substr(7);
  UniqueFd fd = DEWAR_TRY(open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) return fail("blob " + blob.digest + " is no file");
  if (static_cast<std::uint64_t>(info.st_size) != blob.size)
    return fail("blob " + blob.digest + " has " + std::to_string(info.st_size) + " bytes instead of " +
                std::to_string(blob.size));
  return fd;
}

Failure not_its_digest(const OciBlob& blob) {
  return fail("blob " + blob.digest + " is damaged: its bytes have another digest");
}

Result<std::string> read_blob(const std::string& layout, const OciBlob& blob) {
  const UniqueFd fd = DEWAR_TRY(open_blob(layout, blob));
  const std::string bytes = DEWAR_TRY(read_all(fd.get(), "blob " + blob.digest, kMostJson));
  if ("sha256:" + sha256(bytes) != blob.digest) return not_its_digest(blob);
  return bytes;
}

Result<Unpacked> unpack_layers(const std::string& layout, const std::vector<OciBlob>& layers, const std::string& folder,
                               const UnpackLimits& limits) {
  Unpacked all;
  for (const OciBlob& blob : layers) {
    const UniqueFd fd = DEWAR_TRY(open_blob(layout, blob));
    all = DEWAR_TRY(unpack_layer({fd, "layer " + blob.digest.substr(0, 19), true}, folder, limits, all.count));
    if ("sha256:" + all.sha256 != blob.digest) return not_its_digest(blob);
  }
  return all;
}

Result<Image> prepare_layout(const std::string& layout, const std::string& tag, const std::string& store,
                             const UnpackLimits& limits) {
  std::string index = DEWAR_TRY(read_file(layout + "/index.json", kMostJson));
  OciBlob chosen = DEWAR_TRY(choose_manifest(index, tag, architecture()));
  for (int depth = 0; is_index(chosen); ++depth) {
    if (depth == kMostIndexes) return fail("its indexes lead nowhere");
    index = DEWAR_TRY(read_blob(layout, chosen));
    chosen = DEWAR_TRY(choose_manifest(index, "", architecture()));
  }
  const std::string manifest_json = DEWAR_TRY(read_blob(layout, chosen));
  const OciManifest manifest = DEWAR_TRY(parse_manifest(manifest_json));
  const std::string config_json = DEWAR_TRY(read_blob(layout, manifest.config));
  const ImageConfig config = DEWAR_TRY(parse_image_config(config_json));
  return store_image(store, chosen.digest, config,
                     [&](const std::string& folder) { return unpack_layers(layout, manifest.layers, folder, limits); });
}

}  // namespace

Result<Image> prepare_image(const RootImage& root, const std::string& store, const UnpackLimits& limits) {
  const std::string what = "root " + root.path + (root.tag.empty() ? "" : " (tag '" + root.tag + "')");
  const std::string path = DEWAR_TRY(real_path(root.path).context(what));
  const UniqueFd fd = DEWAR_TRY(open_file(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW).context(what));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return fail_errno(what);
  if (S_ISREG(info.st_mode)) {
    if (!root.tag.empty()) return fail(what + ": only an OCI image layout has tags");
    return prepare_archive(fd, info, store, limits).context(what);
  }
  if (!S_ISDIR(info.st_mode)) return fail(what + ": neither a folder nor an archive");
  if (exists(path + "/oci-layout")) return prepare_layout(path, root.tag, store, limits).context(what);
  if (!root.tag.empty()) return fail(what + ": only an OCI image layout has tags, and this folder is none");
  if (path == "/") return fail(what + ": the host's whole root is more than any task may see; leave 'root' out");
  return Image{path, "", {}};
}

}  // namespace dewar
