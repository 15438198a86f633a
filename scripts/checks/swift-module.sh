# SPDX-License-Identifier: Apache-2.0
#
# Compiling files against the library as it was built for debugging, without a package around them. The compiler runs as
# far as its diagnoses go: who consumes a value twice is found out after type checking.

# build_library: builds it and the test kit and sets `against_library`, the compiler's arguments.
build_library() {
    swift build --quiet --target HoldfastTesting
    local products
    products=$(swift build --show-bin-path)
    against_library=(-emit-sil -o /dev/null -parse-as-library -swift-version 6 -warnings-as-errors
        -module-cache-path "$products/ModuleCache" -I "$products/Modules"
        -Xcc "-fmodule-map-file=$products/_HoldfastCShims.build/module.modulemap")
}
