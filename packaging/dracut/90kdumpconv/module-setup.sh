#!/bin/bash
# Puts kdumpconv into an image that dracut builds, on request under the name makedumpfile as well.
#
# To be installed as /usr/lib/dracut/modules.d/90kdumpconv/module-setup.sh.

# Only where somebody asks for it: dracut --add kdumpconv, or add_dracutmodules in dracut.conf(5).
check() {
    require_binaries kdumpconv || return 1
    return 255
}

depends() {
    return 0
}

install() {
    inst_multiple kdumpconv

    # A setting in /etc/dracut.conf.d/*.conf. What is at a place already, kdump's own modules (99)
    # leave there: kdump-utils wants /sbin/makedumpfile, openSUSE's the one on the PATH.
    # shellcheck disable=SC2154
    [[ ${kdumpconv_as_makedumpfile-} == yes ]] || return 0
    local link
    for link in /usr/sbin/makedumpfile "$(find_binary makedumpfile)"; do
        [[ $link == /* ]] || continue
        # shellcheck disable=SC2154
        mkdir -p "$initdir${link%/*}"
        ln_r "$(find_binary kdumpconv)" "$link"
    done
}
