//! The state of devices, whose fields the description at the end of the stream names.

use std::collections::BTreeMap;
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
        let named = self.devices.iter().filter(|device| device.name == name);
        // By their instances; with their bytes.
        let mut wanted: BTreeMap<u64, (&Content, u64)> = named
            .filter_map(|it| Some((u64::try_from(it.instance_id).ok()?, (it, it.bytes()?))))
            .collect();
        let head_bytes = 1 + WORD_BYTES + 1 + name.len() + 2 * WORD_BYTES;
        let mut at = from;
        let mut window = Vec::new();
        // Where the last state ends.
        let mut end = from;
        while at < self.offset && !wanted.is_empty() {
            window.resize(WINDOW_BYTES, 0);
            let read = read_full(input, &mut window, at)?;
            window.truncate(read);
            for (skip, head) in window.windows(head_bytes).enumerate() {
                let Some((id, instance)) = decode_head(head, name) else { continue };
                let Some((device, bytes)) = wanted.get(&instance) else { continue };
                let offset = at + (skip + head_bytes) as u64;
                let footer = has_footers.then_some(id);
                // What looks like a head within a state is none.
                if offset < end || !is_followed(input, offset + bytes, footer)? {
                    continue;
                }
                let Some(state) = device.read(input, offset, *bytes, instance)? else { continue };
                states.push(state);
                end = offset + bytes;
                wanted.remove(&instance);
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

/// Whether the footer of section `footer` is at `offset`, if there are footers.
fn is_followed(input: &dyn ReadAt, offset: u64, footer: Option<u64>) -> io::Result<bool> {
    let Some(id) = footer else { return Ok(true) };
    let mut bytes = [0; 1 + WORD_BYTES];
    let read = read_full(input, &mut bytes, offset)?;
    let [kind, word @ ..] = bytes;
    Ok(read == bytes.len() && kind == FOOTER && Big.read_uint(&word) == id)
}

impl Content {
    /// Bytes before its content, if it is a subsection.
    fn head(&self) -> u64 {
        (1 + 1 + self.vmsd_name.len() + WORD_BYTES) as u64
    }

    /// The state at `offset`, if all its bytes are there.
    fn read(
        &self,
        input: &dyn ReadAt,
        offset: u64,
        bytes: u64,
        instance: u64,
    ) -> io::Result<Option<DeviceState>> {
        let mut bytes = vec![0; in_memory(bytes)];
        let is_whole = read_full(input, &mut bytes, offset)? == bytes.len();
        Ok(is_whole.then(|| DeviceState { instance, places: self.places(), bytes }))
    }

    /// Where its fields are, and those of structs among them, whose names have the struct's in front.
    fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        let mut offset = 0_u64;
        for field in &self.fields {
            let (size, count) = (field.size, field.count());
            let end = size.checked_mul(count).and_then(|bytes| offset.checked_add(bytes));
            // What is after it has no place.
            let Some(end) = end else { break };
            // What a struct has beyond its field has none either.
            let within = size.min(end - offset);
            let is_within = |place: &Place| {
                let end = place.offset.checked_add(place.size);
                place.count == 1 && end.is_some_and(|end| end <= within)
            };
            places.push(Place { name: field.name.clone(), offset, size, stride: size, count });
            let inner = field.inner.iter().flat_map(Content::places);
            places.extend(inner.filter(is_within).map(|inner| Place {
                name: format!("{}.{}", field.name, inner.name),
                offset: offset + inner.offset,
                size: inner.size,
                stride: size,
                count,
            }));
            offset = end;
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
