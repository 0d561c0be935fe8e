// dewar-image STORE PATH TAG: prepare_image() for one that asks by isolation/image/ask.h. What it finds goes to
// standard output, or else why not to standard error.
#include <unistd.h>

#include "base/files.h"
#include "isolation/image/image.h"

int main(int argc, char** argv) {
  if (argc != 4) {
    (void)dewar::write_all(STDERR_FILENO, "dewar-image wants a store, a path and a tag", "standard error");
    return 2;
  }
  const auto image = dewar::prepare_image({argv[2], argv[3]}, argv[1]);
  if (!image) {
    (void)dewar::write_all(STDERR_FILENO, image.error().message(), "standard error");
    return 1;
  }
  return dewar::write_all(STDOUT_FILENO, encode_document(dewar::kImageAnswer, *image), "standard output") ? 0 : 1;
}
