#include "tests/isolation/image_fixture.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <set>

#include "base/digest.h"
#include "base/files.h"

namespace dewar {
namespace {

std::string put_blob(const std::string& folder, const std::string& bytes) {
  const std::string digest = "sha256:" + sha256(bytes);
  EXPECT_TRUE(replace_file(oci_blob(folder, digest), bytes));
  return digest;
}

std::string descriptor(const std::string& type, const std::string& digest, std::size_t size,
                       const std::string& more = "") {
  return "{\"mediaType\":\"application/vnd.oci.image." + type + "\",\"digest\":\"" + digest +
         "\",\"size\":" + std::to_string(size) + more + "}";
}

/// What ldd(1) lists: the loader and the libraries, by absolute path.
std::set<std::string> libraries_of(const std::string& program) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(("ldd " + program).c_str(), "r"), ::pclose);
  std::set<std::string> found;
  char line[4096];
  while (pipe != nullptr && ::fgets(line, sizeof line, pipe.get()) != nullptr) {
    const std::string text = line;
    const std::size_t slash = text.find('/');
    if (slash != std::string::npos) found.insert(text.substr(slash, text.find(' ', slash) - slash));
  }
  return found;
}

void copy_file(const std::string& from, const std::string& to) {
  ASSERT_TRUE(make_dirs(parent_of(to)));
  std::error_code error;
  std::filesystem::copy_file(from, to, std::filesystem::copy_options::overwrite_existing, error);
  ASSERT_FALSE(error) << from << ": " << error.message();
}

}  // namespace

std::string oci_blob(const std::string& folder, const std::string& digest) {
  return folder + "/blobs/sha256/" + digest.substr(7);
}

std::string add_oci_image(const std::string& folder, const std::string& tag, const std::vector<std::string>& layers,
                          const std::string& config) {
  EXPECT_TRUE(make_dirs(folder + "/blobs/sha256"));
  EXPECT_TRUE(replace_file(folder + "/oci-layout", R"({"imageLayoutVersion":"1.0.0"})"));
  std::string list;
  for (const std::string& layer : layers) {
    list += (list.empty() ? "" : ",") + descriptor("layer.v1.tar", put_blob(folder, layer), layer.size());
  }
  const std::string manifest =
      "{\"schemaVersion\":2,\"config\":" + descriptor("config.v1+json", put_blob(folder, config), config.size()) +
      ",\"layers\":[" + list + "]}";
  const std::string digest = put_blob(folder, manifest);
  const std::string entry = descriptor("manifest.v1+json", digest, manifest.size(),
                                       ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"" + tag + "\"}");
  const auto before = read_file(folder + "/index.json");
  std::string index = before ? *before : "{\"schemaVersion\":2,\"manifests\":[]}";
  const std::size_t end = index.rfind(']');
  index.insert(end, (index[end - 1] == '[' ? "" : ",") + entry);
  EXPECT_TRUE(replace_file(folder + "/index.json", index));
  return digest;
}

void make_small_root(const std::string& root, const std::vector<std::string>& programs) {
  std::set<std::string> libraries = libraries_of("/bin/bash");
  copy_file("/bin/bash", root + "/bin/bash");
  ASSERT_EQ(::symlink("bash", (root + "/bin/sh").c_str()), 0);
  for (const std::string& name : programs) {
    copy_file("/bin/" + name, root + "/bin/" + name);
    libraries.merge(libraries_of("/bin/" + name));
  }
  for (const std::string& library : libraries) copy_file(library, root + library);
}

}  // namespace dewar
