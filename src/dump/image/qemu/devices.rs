//! The state of devices, whose fields the description at the end of the stream names.

use std::io;

use serde::Deserialize;

use crate::format::qemu::{DESCRIPTION, FOOTER, FULL, WORD_BYTES};
use crate::format::wire::ByteOrder::Big;
use crate::input::{ReadAt, read_full};
use crate::pages::in_memory;

/// The largest description that is read: 300 CPUs have 3 MiB.
const MAX_DESCRIPTION_BYTES: u64 = 16 << 20;

/// The largest state of a device that is read.
const MAX_STATE_BYTES: u64 = 4 << 20;

/// Bytes of state that are searched at a time.
const WINDOW_BYTES: usize = 1 << 20;

/// The description: JSON, which QEMU writes after the last section.
#[derive(Debug, Deserialize)]
pub(super) struct Description {
    /// The size of the guest's pages.
    pub(super) page_size: Option<u64>,
    #[serde(default)]
    devices: Vec<Content>,
    /// Where it begins in the file.
    #[serde(skip)]
    offset: u64,
}

/// A device, a subsection of one, or a struct: fields in the order of the stream, and what follows
/// them.
#[derive(Debug, Deserialize)]
struct Content {
    /// The name of a device.
    #[serde(default)]
    name: String,
    /// Which of the devices of that name.
    #[serde(default)]
    instance_id: i64,
    /// The name of a subsection.
    #[serde(default)]
    vmsd_name: String,
    #[serde(default)]
    fields: Vec<Field>,
    #[serde(default)]
    subsections: Vec<Content>,
}

#[derive(Debug, Deserialize)]
struct Field {
    #[serde(default)]
    name: String,
    #[serde(default)]
    size: u64,
    array_len: Option<u64>,
    #[serde(rename = "struct")]
    inner: Option<Content>,
}

impl Field {
    fn count(&self) -> u64 {
        self.array_len.unwrap_or(1)
    }
}

impl Content {
    /// Its bytes; `None` if they are more than any device has.
    fn bytes(&self) -> Option<u64> {
        let fields = self.fields.iter().map(|field| field.size.checked_mul(field.count()));
        let below = self.subsections.iter().map(|inner| inner.bytes()?.checked_add(inner.head()));
        let sum = |sum: u64, part: Option<u64>| sum.checked_add(part?);
        fields.chain(below).try_fold(0, sum).filter(|bytes| *bytes <= MAX_STATE_BYTES)
    }
}

/// Where a field, or each element of an array, is in the state of a device.
#[derive(Debug)]
struct Place {
    name: String,
    offset: u64,
    size: u64,
    stride: u64,
    count: u64,
}

/// The state of one device.
#[derive(Debug)]
pub(super) struct DeviceState {
    /// Which of the devices of this name it is.
    pub(super) instance: u64,
    places: Vec<Place>,
    bytes: Vec<u8>,
}

impl Description {
    /// The description at the end of a stream, if it has one.
    ///
    /// # Errors
    /// What reading says.
    pub(super) fn find(input: &dyn ReadAt) -> io::Result<Option<Self>> {
        let size = input.size().unwrap_or_default();
        let start = size.saturating_sub(MAX_DESCRIPTION_BYTES);
        let mut tail = vec![0; in_memory(size - start)];
        let read = read_full(input, &mut tail, start)?;
        tail.truncate(read);
        let mut descriptions =
            tail.windows(1 + WORD_BYTES + 1).enumerate().filter_map(|(at, head)| {
                let [DESCRIPTION, length @ .., b'{'] = head else { return None };
                let (_, text) = tail.split_at(at + 1 + WORD_BYTES);
                let is_last = Big.read_uint(length) == text.len() as u64;
                let found = is_last.then(|| serde_json::from_slice::<Description>(text).ok())??;
                Some(Description { offset: start + at as u64, ..found })
            });
        Ok(descriptions.next())
    }

    /// The states of all devices called `name`, in the state of devices that begins at offset `from`.
    /// Each is taken only if its footer follows it, if there are footers.
    ///
    /// # Errors
    /// What reading says.
    pub(super) fn states(
        &self,
        input: &dyn ReadAt,
        from: u64,
        has_footers: bool,
        name: &str,
    ) -> io::Result<Vec<DeviceState>> {
        let mut states: Vec<DeviceState> = Vec::new();
        let wanted: Vec<&Content> = self.devices.iter().filter(|it| it.name == name).collect();
        let head_bytes = 1 + WORD_BYTES + 1 + name.len() + 2 * WORD_BYTES;
        let mut at = from;
        let mut window = Vec::new();
        while at < self.offset && states.len() < wanted.len() {
            window.resize(WINDOW_BYTES, 0);
            let read = read_full(input, &mut window, at)?;
            window.truncate(read);
            for (skip, head) in window.windows(head_bytes).enumerate() {
                let Some((id, instance)) = decode_head(head, name) else { continue };
                let is_new = states.iter().all(|state| state.instance != instance);
                let device = wanted
                    .iter()
                    .find(|it| u64::try_from(it.instance_id) == Ok(instance) && is_new);
                let Some(device) = device else { continue };
                let offset = at + (skip + head_bytes) as u64;
                let footer = has_footers.then_some(id);
                states.extend(device.read(input, offset, footer, instance)?);
            }
            if read < WINDOW_BYTES {
                break;
            }
            // A head may begin in this window and end in the next.
            at += (WINDOW_BYTES + 1 - head_bytes) as u64;
        }
        states.sort_by_key(|state| state.instance);
        Ok(states)
    }
}

/// The id and the instance of a FULL section of a device called `name`.
fn decode_head(head: &[u8], name: &str) -> Option<(u64, u64)> {
    let (id, rest) = head.strip_prefix(&[FULL])?.split_at(WORD_BYTES);
    let (length, rest) = rest.split_first()?;
    let rest = rest.strip_prefix(name.as_bytes()).filter(|_| usize::from(*length) == name.len())?;
    Some((Big.read_uint(id), Big.read_uint(rest.get(..WORD_BYTES)?)))
}

impl Content {
    /// Bytes before its content, if it is a subsection.
    fn head(&self) -> u64 {
        (1 + 1 + self.vmsd_name.len() + WORD_BYTES) as u64
    }

    /// The state at `offset`, if the footer of section `footer` follows it.
    fn read(
        &self,
        input: &dyn ReadAt,
        offset: u64,
        footer: Option<u64>,
        instance: u64,
    ) -> io::Result<Option<DeviceState>> {
        let Some(content_bytes) = self.bytes() else { return Ok(None) };
        let mut bytes = vec![0; in_memory(content_bytes) + 1 + WORD_BYTES];
        let read = read_full(input, &mut bytes, offset)?;
        bytes.truncate(read);
        let Some(after) = bytes.get(in_memory(content_bytes)..) else { return Ok(None) };
        let is_its = footer.is_none_or(|id| {
            matches!(after, [FOOTER, word @ ..] if word.len() == WORD_BYTES && Big.read_uint(word) == id)
        });
        if !is_its {
            return Ok(None);
        }
        bytes.truncate(in_memory(content_bytes));
        Ok(Some(DeviceState { instance, places: self.places(), bytes }))
    }

    /// Where its fields are, and those of structs among them, whose names have the struct's in front.
    fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        let mut offset = 0;
        for field in &self.fields {
            let (size, count) = (field.size, field.count());
            places.push(Place { name: field.name.clone(), offset, size, stride: size, count });
            let inner = field.inner.iter().flat_map(Content::places);
            places.extend(inner.filter(|inner| inner.count == 1).map(|inner| Place {
                name: format!("{}.{}", field.name, inner.name),
                offset: offset + inner.offset,
                size: inner.size,
                stride: size,
                count,
            }));
            offset += size * count;
        }
        places
    }
}

impl DeviceState {
    /// The bytes of element `index` of a field.
    pub(super) fn bytes(&self, name: &str, index: u64) -> Option<&[u8]> {
        let place = self.places.iter().find(|place| place.name == name && index < place.count)?;
        let start = in_memory(place.offset + index * place.stride);
        self.bytes.get(start..)?.get(..in_memory(place.size))
    }

    /// An integer: element `index` of a field.
    pub(super) fn number(&self, name: &str, index: u64) -> Option<u64> {
        let bytes = self.bytes(name, index).filter(|bytes| (1..=8).contains(&bytes.len()))?;
        Some(Big.read_uint(bytes))
    }
}
