// drive_fetch FOLDER URI SHA256 unpack|keep [CONFIG [UID]]: becomes dewar-fetch with a request for this one artifact,
// for the caller's user or UID. SHA256 may be empty.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/files.h"
#include "fetcher/request.h"

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  const std::string folder = argv[1], file = folder + "/.request";
  dewar::Artifact artifact;
  artifact.uri = argv[2];
  artifact.sha256 = argv[3];
  artifact.extract = std::string(argv[4]) == "unpack" ? dewar::Unpack::kAlways : dewar::Unpack::kNever;
  artifact.cache = argc > 5 ? dewar::CacheUse::kWithDigest : dewar::CacheUse::kNo;
  dewar::FetchRequest request;
  request.name = "bench";
  request.folder = folder;
  request.config = argc > 5 ? argv[5] : "";
  request.uid = argc > 6 ? static_cast<uid_t>(std::atoi(argv[6])) : ::getuid();
  request.gid = argc > 6 ? request.uid : ::getgid();
  request.loopback = true;
  request.artifacts = {artifact};
  if (!dewar::replace_file(file, dewar::encode_fetch_request(request))) return 1;
  ::execl(DEWAR_BIN "/dewar-fetch", "dewar-fetch", file.c_str(), nullptr);
  std::perror("dewar-fetch");
  return 1;
}
